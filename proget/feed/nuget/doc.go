// Package nuget is the feed type for NuGet packages: it reads .nupkg files, orders
// versions as NuGet does, and implements the server side of NuGet's protocol, versions
// 3 and 2.
//
// # The protocol
//
// Version 3 is specified at https://learn.microsoft.com/nuget/api/, with a page for
// each resource that v3/index.json lists:
//
//   - service-index: [handler.serviceIndex]
//   - package-base-address-resource: content.go
//   - registration-base-url-resource: registration.go
//   - search-query-service-resource and search-autocomplete-service-resource:
//     search.go
//   - package-publish-resource: publish.go
//   - readme-template-resource: content.go, which also serves icons and licenses
//     that are part of a package
//   - catalog-resource: catalog.go
//
// Version 2 is an OData service (odata.org/documentation/odata-version-2-0) whose
// entity was never specified: v2.go handles the queries, v2entity.go has the
// properties, v2render.go writes the documents.
//
// The function [parse] alone parses URLs. Versions follow
// https://learn.microsoft.com/nuget/concepts/package-versioning, manifests
// https://learn.microsoft.com/nuget/reference/nuspec.
//
// # Hostile input
//
// Only [inspect] reads an uploaded file. It checks the zip's directory before
// archive/zip may allocate memory in proportion to it, decompresses only the .nuspec
// and the readme, each within a bound, and accepts no document type declaration.
package nuget

// Package nuget is the feed type for NuGet packages: what a .nupkg says of
// itself, how NuGet names and orders versions, and the server side of NuGet's
// protocol, versions 3 and 2.
//
// # The protocol
//
// It is specified under https://learn.microsoft.com/nuget/api/, one page for
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
// entity nobody specified: v2.go has the questions, v2entity.go the properties,
// v2render.go the documents.
//
// Every URL is taken apart by the one function [parse]. Versions follow
// https://learn.microsoft.com/nuget/concepts/package-versioning, manifests
// https://learn.microsoft.com/nuget/reference/nuspec.
//
// # Hostile input
//
// [inspect] is the only reader of an uploaded file. It checks the zip's
// directory before it lets archive/zip allocate anything in proportion to it,
// decompresses only the .nuspec and the readme, each within a bound, and
// accepts no document type declaration.
package nuget

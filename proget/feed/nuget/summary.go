package nuget

import (
	"encoding/xml"
	"strings"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// summary is feed.Type's Summary. For a manifest that cannot be decoded, it returns an
// empty Summary: the page still shows name, version and files.
func summary(v *proget.Version) feed.Summary {
	m, err := decode(v)
	if err != nil {
		return feed.Summary{Title: v.Name}
	}
	s := feed.Summary{
		Title:       m.Title,
		Description: m.Description,
		Authors:     m.Authors,
		Owners:      m.Owners,
		Tags:        m.Tags,
		ProjectURL:  feed.WebURL(m.ProjectURL),
		License:     m.LicenseExpression,
		Readme:      m.Readme,
	}
	if m.Repository != nil {
		s.Repository = m.Repository.URL
	}
	for _, t := range m.types() {
		s.Types = append(s.Types, t.Name)
	}
	if s.Title == "" {
		s.Title = v.Name
	}
	if s.License == "" {
		s.License = feed.WebURL(m.LicenseURL)
	}
	for _, g := range m.DependencyGroups {
		for _, d := range g.Dependencies {
			s.Dependencies = append(s.Dependencies, feed.Dependency{Group: g.TargetFramework, Name: d.ID, Range: d.Range})
		}
	}
	return s
}

// install is feed.Type's Install.
func install(base string, _ *proget.Feed, v *proget.Version) []feed.Instruction {
	id, number := v.Name, v.Version
	if parsed, ok := parseVersion(number); ok {
		number = parsed.normal()
	}
	source := base + "/v3/index.json"
	m, err := decode(v)
	if err == nil && m.hasType("DotnetTool") {
		return []feed.Instruction{{Tool: "dotnet CLI", Command: "dotnet tool install --global " + id + " --version " + number + " --add-source " + source}}
	}
	return []feed.Instruction{
		{Tool: "dotnet CLI", Command: "dotnet add package " + id + " --version " + number + " --source " + source},
		{Tool: "PackageReference", Command: `<PackageReference Include="` + escape(id) + `" Version="` + escape(number) + `" />`},
		{Tool: "NuGet CLI", Command: "nuget install " + id + " -Version " + number + " -Source " + source},
	}
}

// installChocolatey is install for Chocolatey feeds.
func installChocolatey(base string, _ *proget.Feed, v *proget.Version) []feed.Instruction {
	return []feed.Instruction{
		{Tool: "Chocolatey", Command: "choco install " + v.Name + " --version " + v.Version + " --source " + base + "/"},
		{Tool: "Add the source", Command: "choco source add --name proget --source " + base + "/"},
	}
}

// installPowerShell is install for PowerShell feeds: PSResourceGet first, then the tool
// that Windows includes.
func installPowerShell(base string, f *proget.Feed, v *proget.Version) []feed.Instruction {
	name := "'" + strings.ReplaceAll(f.Name, "'", "''") + "'"
	return []feed.Instruction{
		{Tool: "PSResourceGet", Command: "Install-PSResource -Name " + v.Name + " -Version " + v.Version + " -Repository " + name},
		{Tool: "Register", Command: "Register-PSResourceRepository -Name " + name + " -Uri " + base + "/v3/index.json -Trusted"},
		{Tool: "PowerShellGet 2", Command: "Install-Module -Name " + v.Name + " -RequiredVersion " + v.Version + " -Repository " + name},
		{Tool: "Register (PowerShellGet 2)", Command: "Register-PSRepository -Name " + name + " -SourceLocation " + base + "/ -PublishLocation " + base + "/ -InstallationPolicy Trusted"},
	}
}

// escape escapes s for an attribute's value.
func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a strings.Builder does not fail
	return b.String()
}

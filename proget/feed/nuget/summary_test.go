package nuget

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

func TestSummary(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	require.Equal(t, feed.Summary{
		Title:        "Acme Rich",
		Description:  "Does <things> & more.",
		Authors:      "Ann, Bob",
		Owners:       "acme",
		Tags:         []string{"one", "two", "three"},
		Types:        []string{"DotnetTool"},
		ProjectURL:   "https://acme.example/",
		Repository:   "https://acme.example/rich.git",
		License:      "MIT OR Apache-2.0",
		Readme:       "# Rich\ufffd",
		Dependencies: []feed.Dependency{{Group: "net8.0", Name: "Newtonsoft.Json", Range: "[13.0.1, 14)"}},
	}, w.typ.Summary(w.publish(rich(t))))

	plain := w.publish(simple(t, "Plain", "1.0", "<licenseUrl>javascript:alert(1)</licenseUrl>"))
	require.Equal(t, feed.Summary{Title: "Plain", Description: "A test.", Authors: "Ann", Types: []string{"Dependency"}}, w.typ.Summary(plain))

	broken := &proget.Version{Name: "Broken", Manifest: json.RawMessage("{")}
	require.Equal(t, feed.Summary{Title: "Broken"}, w.typ.Summary(broken))
}

func TestInstall(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	require.Equal(t, []feed.Instruction{
		{Tool: "dotnet CLI", Command: "dotnet add package Plain --version 1.0.0-Beta --source https://feeds.example/nuget/main/v3/index.json"},
		{Tool: "PackageReference", Command: `<PackageReference Include="Plain" Version="1.0.0-Beta" />`},
		{Tool: "NuGet CLI", Command: "nuget install Plain -Version 1.0.0-Beta -Source https://feeds.example/nuget/main/v3/index.json"},
	}, w.typ.Install(w.base, w.feed, w.publish(simple(t, "Plain", "1.0-Beta+sha"))))
	require.Equal(t, []feed.Instruction{
		{Tool: "dotnet CLI", Command: "dotnet tool install --global Acme.Rich --version 1.2.0-Beta.1 --add-source https://feeds.example/nuget/main/v3/index.json"},
	}, w.typ.Install(w.base, w.feed, w.publish(rich(t))))
}

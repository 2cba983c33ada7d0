package nuget

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/unicode"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// An entry is a file of a package made for a test.
type entry struct{ name, text string }

// pack makes a package out of a .nuspec's metadata and other entries.
func pack(t testing.TB, metadata string, more ...entry) []byte {
	t.Helper()
	nuspec := `<?xml version="1.0" encoding="utf-8"?><package xmlns="http://schemas.microsoft.com/packaging/2013/05/nuspec.xsd"><metadata>` +
		metadata + `</metadata></package>`
	return zipped(t, append([]entry{
		{"_rels/.rels", "<Relationships/>"},
		{"Test.nuspec", nuspec},
		{"lib/netstandard2.0/Test.dll", "MZ"},
	}, more...)...)
}

// simple makes the smallest package.
func simple(t testing.TB, id, version string, more ...string) []byte {
	t.Helper()
	return pack(t, "<id>"+id+"</id><version>"+version+"</version><authors>Ann</authors><description>A test.</description>"+strings.Join(more, ""))
}

func zipped(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, e := range entries {
		w, err := z.Create(e.name)
		require.NoError(t, err)
		_, err = io.WriteString(w, e.text)
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	return b.Bytes()
}

func inspectBytes(t testing.TB, pkg []byte) (*feed.Manifest, error) {
	return inspect(t.Context(), feed.File{ReaderAt: bytes.NewReader(pkg), Size: int64(len(pkg))})
}

const richMetadata = `
<id>Acme.Rich</id>
<version>01.2.0.0-Beta.1+build.7</version>
<title>Acme Rich</title>
<authors>Ann, Bob</authors>
<owners>acme</owners>
<requireLicenseAcceptance>true</requireLicenseAcceptance>
<license type="expression">MIT OR Apache-2.0</license>
<licenseUrl>https://licenses.nuget.org/MIT</licenseUrl>
<icon>images\icon.png</icon>
<iconUrl>https://acme.example/icon.png</iconUrl>
<readme>docs\README.md</readme>
<projectUrl>https://acme.example/</projectUrl>
<description>Does &lt;things&gt; &amp; more.</description>
<summary>Things.</summary>
<releaseNotes>First.</releaseNotes>
<copyright>© Acme</copyright>
<language>en-US</language>
<tags>one two, three</tags>
<developmentDependency>true</developmentDependency>
<packageTypes><packageType name="DotnetTool" version="1.0" /></packageTypes>
<dependencies>
  <dependency id="Ignored" version="1.0" />
  <group targetFramework="net8.0">
    <dependency id="Newtonsoft.Json" version="[13.0.1, 14)" exclude="Build,Analyzers" />
  </group>
  <group targetFramework="netstandard2.0" />
</dependencies>
<frameworkAssemblies><frameworkAssembly assemblyName="System.Xml" targetFramework="net45" /></frameworkAssemblies>
<repository type="git" url="https://acme.example/rich.git" branch="main" commit="abc" />`

func rich(t testing.TB) []byte {
	return pack(t, richMetadata, entry{"docs/README.md", "\ufeff# Rich\x00"})
}

func TestInspect(t *testing.T) {
	t.Parallel()
	m, err := inspectBytes(t, rich(t))
	require.NoError(t, err)
	require.Equal(t, &feed.Manifest{
		Name:       "Acme.Rich",
		Version:    "01.2.0.0-Beta.1+build.7",
		Prerelease: true,
		FileName:   "acme.rich.1.2.0-beta.1.nupkg",
		Data: &metadata{
			SemVer2:                  true,
			ID:                       "Acme.Rich",
			Version:                  "01.2.0.0-Beta.1+build.7",
			Title:                    "Acme Rich",
			Authors:                  "Ann, Bob",
			Owners:                   "acme",
			Description:              "Does <things> & more.",
			Summary:                  "Things.",
			ReleaseNotes:             "First.",
			Copyright:                "© Acme",
			Language:                 "en-US",
			Tags:                     []string{"one", "two", "three"},
			ProjectURL:               "https://acme.example/",
			IconURL:                  "https://acme.example/icon.png",
			Icon:                     `images\icon.png`,
			LicenseURL:               "https://licenses.nuget.org/MIT",
			LicenseExpression:        "MIT OR Apache-2.0",
			RequireLicenseAcceptance: true,
			DevelopmentDependency:    true,
			PackageTypes:             []packageType{{"DotnetTool", "1.0"}},
			DependencyGroups: []dependencyGroup{
				{"net8.0", []dependency{{ID: "Newtonsoft.Json", Range: "[13.0.1, 14)", Exclude: "Build,Analyzers"}}},
				{"netstandard2.0", nil},
			},
			FrameworkAssemblies: []frameworkAssembly{{"System.Xml", "net45"}},
			Repository:          &repository{"git", "https://acme.example/rich.git", "main", "abc"},
			ReadmeFile:          `docs\README.md`,
			Readme:              "# Rich\ufffd",
		},
	}, m)
}

func TestInspectOldPackage(t *testing.T) {
	t.Parallel()
	m, err := inspectBytes(t, zipped(t, entry{"OLD.NUSPEC", `<package><metadata xmlns="urn:old" minClientVersion="2.8">
		<id>Old</id><version>1.0</version><license type="file">LICENSE.txt</license>
		<dependencies><dependency id="A" /><dependency id="B" version="1.0-alpha.1" /></dependencies></metadata></package>`}))
	require.NoError(t, err)
	data := m.Data.(*metadata)
	require.True(t, data.SemVer2, "because of the dependency")
	require.Equal(t, "2.8", data.MinClientVersion)
	require.Equal(t, "LICENSE.txt", data.LicenseFile)
	require.Equal(t, []dependencyGroup{{Dependencies: []dependency{{ID: "A"}, {ID: "B", Range: "1.0-alpha.1"}}}}, data.DependencyGroups)
	require.Equal(t, "old.1.0.0.nupkg", m.FileName)
}

func TestInspectEncodings(t *testing.T) {
	t.Parallel()
	const format = `<?xml version="1.0" encoding="%s"?><package><metadata><id>A</id><version>1.0</version><title>Caf%s</title></metadata></package>`
	wide := func(order unicode.Endianness, bom unicode.BOMPolicy) string {
		s, err := unicode.UTF16(order, bom).NewEncoder().String(fmt.Sprintf(format, "utf-16", "é"))
		require.NoError(t, err)
		return s
	}
	for name, text := range map[string]string{
		"UTF-8":                 fmt.Sprintf(format, "UTF-8", "é"),
		"UTF-8 with BOM":        "\ufeff" + fmt.Sprintf(format, "utf-8", "é"),
		"UTF-16LE with BOM":     wide(unicode.LittleEndian, unicode.UseBOM),
		"UTF-16BE with BOM":     wide(unicode.BigEndian, unicode.UseBOM),
		"UTF-16LE without BOM":  wide(unicode.LittleEndian, unicode.IgnoreBOM),
		"UTF-16BE without BOM":  wide(unicode.BigEndian, unicode.IgnoreBOM),
		"Windows-1252":          fmt.Sprintf(format, "windows-1252", "\xe9"),
		"ASCII with a char ref": fmt.Sprintf(format, "us-ascii", "&#233;"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, err := inspectBytes(t, zipped(t, entry{"a.nuspec", text}))
			require.NoError(t, err)
			require.Equal(t, "Café", m.Data.(*metadata).Title)
		})
	}
}

func TestInspectReadme(t *testing.T) {
	t.Parallel()
	const named = "<id>A</id><version>1</version><readme>./docs/readme.md</readme>"
	for name, c := range map[string]struct {
		entries []entry
		want    string
	}{
		"found":              {[]entry{{"docs/readme.md", "# A"}}, "# A"},
		"in another case":    {[]entry{{"Docs/README.md", "# A"}}, "# A"},
		"with a backslash":   {[]entry{{`docs\readme.md`, "# A"}}, "# A"},
		"not in the package": {nil, ""},
		"too long":           {[]entry{{"docs/readme.md", strings.Repeat("a", maxReadme+1)}}, ""},
		"no UTF-8":           {[]entry{{"docs/readme.md", "a\xffb"}}, "a\ufffdb"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, err := inspectBytes(t, pack(t, named, c.entries...))
			require.NoError(t, err)
			require.Equal(t, c.want, m.Data.(*metadata).Readme)
		})
	}
}

// refused is a file with what its author is told.
type refused struct {
	pkg  []byte
	want string
}

// hostile is the table of hostile and broken files.
func hostile(t testing.TB) map[string]refused {
	const start, end = "<package><metadata>", "</metadata></package>"
	nuspec := func(text string) []byte { return zipped(t, entry{"a.nuspec", text}) }
	with := func(name string) []byte { return pack(t, "<id>A</id><version>1.0</version>", entry{name, "x"}) }
	good := simple(t, "A", "1.0")
	return map[string]refused{
		"an empty file":          {nil, "holds no package"},
		"a text":                 {[]byte("hello"), "not a zip archive"},
		"cut at the end":         {good[:len(good)-1], "not a zip archive"},
		"cut in the middle":      {good[:len(good)/2], "not a zip archive"},
		"text before the zip":    {append([]byte("#!/bin/sh\n"), good...), "not a zip archive"},
		"no nuspec":              {zipped(t, entry{"readme.md", "x"}), "this one has 0"},
		"nuspec in a folder":     {zipped(t, entry{"a/a.nuspec", "x"}), "this one has 0"},
		"nuspec by backslash":    {zipped(t, entry{`a\a.nuspec`, "x"}), "this one has 0"},
		"two nuspecs":            {with("b.NuSpec"), "this one has 2"},
		"the nuspec twice":       {with("Test.nuspec"), "the same path"},
		"a file twice":           {with("lib/netstandard2.0/Test.dll"), "the same path"},
		"a file twice, escaped":  {with(`lib\netstandard2.0\%54est.dll`), "the same path"},
		"absolute path":          {with("/etc/passwd"), "unsafe path"},
		"absolute on Windows":    {with(`\windows\x`), "unsafe path"},
		"drive letter":           {with("C:x"), "unsafe path"},
		"parent":                 {with("../x"), "unsafe path"},
		"parent within":          {with("a/../../x"), "unsafe path"},
		"parent by backslash":    {with(`a\..\..\x`), "unsafe path"},
		"parent by mixed slash":  {with(`..\/x`), "unsafe path"},
		"parent, escaped":        {with("a/%2e%2E/%2e%2e/x"), "unsafe path"},
		"slash, escaped":         {with("..%5Cx"), "unsafe path"},
		"parent with a space":    {with("a/.. /x"), "unsafe path"},
		"NUL in a path":          {with("a\x00b"), "unsafe path"},
		"no name":                {with(""), "unsafe path"},
		"large nuspec":           {nuspec(strings.Repeat(" ", maxNuspec+1)), "larger than 1024 KiB"},
		"nuspec that lies":       {lie(t), "cannot be decompressed"},
		"damaged nuspec":         {damage(good), "damaged"},
		"not XML":                {nuspec("{}"), "cannot be read"},
		"XML cut off":            {nuspec("<package><metadata>"), "cannot be read"},
		"another root":           {nuspec("<feed/>"), "cannot be read"},
		"DTD":                    {nuspec(`<!DOCTYPE package [<!ENTITY a "b">]>` + start + end), "document type"},
		"external DTD":           {nuspec(`<!DOCTYPE package SYSTEM "file:///etc/passwd">` + start + end), "document type"},
		"unknown entity":         {nuspec(start + "<id>&a;</id>" + end), "cannot be read"},
		"unknown encoding":       {nuspec(`<?xml version="1.0" encoding="ebcdic"?>` + start + end), "save it as UTF-8"},
		"no metadata":            {nuspec("<package/>"), "one <metadata>"},
		"two metadata":           {nuspec("<package><metadata/><metadata/></package>"), "one <metadata>"},
		"no id":                  {pack(t, "<version>1.0</version>"), "one <id>"},
		"two ids":                {pack(t, "<id>A</id><id>B</id><version>1.0</version>"), "one <id>"},
		"empty id":               {simple(t, "", "1.0"), `id "" is not valid`},
		"id with a space":        {simple(t, "A B", "1.0"), "is not valid"},
		"id with a slash":        {simple(t, "A/B", "1.0"), "is not valid"},
		"id ends in a dot":       {simple(t, "A.", "1.0"), "is not valid"},
		"id with two dots":       {simple(t, "A..B", "1.0"), "is not valid"},
		"id in other letters":    {simple(t, "Аcme", "1.0"), "is not valid"},
		"id not replaced":        {simple(t, "$id$", "1.0"), "is not valid"},
		"long id":                {simple(t, strings.Repeat("a", 101), "1.0"), "longer than 100"},
		"no version":             {pack(t, "<id>A</id>"), "one <version>"},
		"bad version":            {simple(t, "A", "1.x"), "not a valid NuGet version"},
		"long version":           {simple(t, "A", "1.0-"+strings.Repeat("a", 255)), "not a valid NuGet version"},
		"bad minClientVersion":   {nuspec(`<package><metadata minClientVersion="new"><id>A</id><version>1</version></metadata></package>`), "minClientVersion"},
		"symbols":                {simple(t, "A", "1.0", `<packageTypes><packageType name="SymbolsPackage"/></packageTypes>`), "no .pdb file"},
		"too many PDBs":          {tooMany(t), "more than 2000 .pdb files"},
		"PDBs too large":         {tooLarge(t), "may take 1024 MiB"},
		"no portable PDB":        {symbols(t, "A", "1.0", entry{"lib/A.pdb", "Microsoft C/C++ MSF 7.00"}), "not a portable PDB"},
		"a PDB cut off":          {symbols(t, "A", "1.0", entry{"lib/A.pdb", portable("x")[:40]}), "not a portable PDB"},
		"a PDB with a far id":    {symbols(t, "A", "1.0", entry{"lib/A.pdb", portable("x", 1<<30)}), "not a portable PDB"},
		"a PDB with a long name": {symbols(t, "A", "1.0", entry{"lib/" + strings.Repeat("x", 400) + ".pdb", portable("x")}), "too long"},
		"type without a name":    {simple(t, "A", "1.0", `<packageTypes><packageType/></packageTypes>`), "<packageType>"},
		"dependency without id":  {simple(t, "A", "1.0", `<dependencies><dependency version="1"/></dependencies>`), "<dependency>"},
		"too many entries":       {patchEnd(good, 10, 2, 0xffff), "not a zip archive"},
		"directory that lies":    {patchEnd(good, 12, 4, 1<<30), "entries are too long"},
		"directory out of range": {patchEnd(good, 16, 4, 0xfffffff0), "not a zip archive"},
		"too many, zip64":        {manyEntries(good), "more than 65535 entries"},
	}
}

func TestInspectRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range hostile(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := inspectBytes(t, c.pkg)
			require.ErrorIs(t, err, proget.ErrInvalid)
			require.Contains(t, proget.Message(err), c.want)
			require.True(t, strings.HasSuffix(proget.Message(err), "."), "a sentence: %s", proget.Message(err))
		})
	}
}

// lie makes a package whose .nuspec is larger than its header says.
func lie(t testing.TB) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	plain := strings.Repeat(" ", 2*maxNuspec)
	var packed bytes.Buffer
	inner := zip.NewWriter(&packed)
	w, err := inner.Create("x")
	require.NoError(t, err)
	_, err = io.WriteString(w, plain)
	require.NoError(t, err)
	require.NoError(t, inner.Close())
	r, err := zip.NewReader(bytes.NewReader(packed.Bytes()), int64(packed.Len()))
	require.NoError(t, err)
	raw, err := r.File[0].OpenRaw()
	require.NoError(t, err)
	out, err := z.CreateRaw(&zip.FileHeader{
		Name: "a.nuspec", Method: zip.Deflate, UncompressedSize64: 100,
		CompressedSize64: r.File[0].CompressedSize64, CRC32: r.File[0].CRC32,
	})
	require.NoError(t, err)
	_, err = io.Copy(out, raw)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return b.Bytes()
}

// tooMany makes a symbol package of so many PDBs that none of them is read.
func tooMany(t testing.TB) []byte {
	var pdbs []entry
	for n := range feed.MaxAliases + 1 {
		pdbs = append(pdbs, entry{fmt.Sprintf("lib/%d.pdb", n), "no PDB"})
	}
	return symbols(t, "A", "1.0", pdbs...)
}

// tooLarge makes a symbol package with two PDBs that say they are large.
func tooLarge(t testing.TB) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.Create("a.nuspec")
	require.NoError(t, err)
	_, err = io.WriteString(w, `<package><metadata><id>A</id><version>1.0</version><authors>Ann</authors><description>d</description><packageTypes><packageType name="SymbolsPackage"/></packageTypes></metadata></package>`)
	require.NoError(t, err)
	for _, name := range []string{"a.pdb", "b.pdb"} {
		_, err := z.CreateRaw(&zip.FileHeader{Name: name, Method: zip.Deflate, UncompressedSize64: maxPDBs/2 + 1})
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	return b.Bytes()
}

// damage flips bits within the compressed .nuspec.
func damage(pkg []byte) []byte {
	pkg = bytes.Clone(pkg)
	at := bytes.Index(pkg, []byte("Test.nuspec")) + 60
	pkg[at] ^= 0xff
	pkg[at+1] ^= 0xff
	return pkg
}

// patchEnd overwrites a number in the end record.
func patchEnd(pkg []byte, at, size int, n uint32) []byte {
	pkg = bytes.Clone(pkg)
	field := pkg[len(pkg)-endLen+at:]
	if size == 2 {
		binary.LittleEndian.PutUint16(field, uint16(n))
	} else {
		binary.LittleEndian.PutUint32(field, n)
	}
	return pkg
}

// manyEntries adds a zip64 end record that claims a billion entries.
func manyEntries(pkg []byte) []byte { return zip64(pkg, 1<<30) }

// zip64 adds the records that a zip of more than 4 GiB has.
func zip64(pkg []byte, entries uint64) []byte {
	end := patchEnd(pkg, 10, 2, 0xffff)[len(pkg)-endLen:]
	body := pkg[:len(pkg)-endLen]
	record := make([]byte, end64Len+locator64Len)
	copy(record, end64Signature)
	binary.LittleEndian.PutUint64(record[4:], end64Len-12)
	binary.LittleEndian.PutUint64(record[24:], entries)
	binary.LittleEndian.PutUint64(record[32:], entries)
	binary.LittleEndian.PutUint64(record[40:], uint64(binary.LittleEndian.Uint32(end[12:])))
	binary.LittleEndian.PutUint64(record[48:], uint64(binary.LittleEndian.Uint32(end[16:])))
	copy(record[end64Len:], locator64Signature)
	binary.LittleEndian.PutUint64(record[end64Len+8:], uint64(len(body)))
	binary.LittleEndian.PutUint32(record[end64Len+16:], 1)
	return bytes.Join([][]byte{body, record, end}, nil)
}

func TestInspectZip64(t *testing.T) {
	t.Parallel()
	m, err := inspectBytes(t, zip64(simple(t, "A", "1.0"), 3))
	require.NoError(t, err)
	require.Equal(t, "A", m.Name)

	_, err = inspectBytes(t, zip64(simple(t, "A", "1.0"), 4))
	require.ErrorIs(t, err, proget.ErrInvalid)
}

// TestInspectBrokenDisk makes sure that no author is blamed for a server's disk.
func TestInspectBrokenDisk(t *testing.T) {
	t.Parallel()
	pkg := simple(t, "A", "1.0")
	disk := errors.New("input/output error")
	for good := range 6 {
		r := &brokenReader{ReaderAt: bytes.NewReader(pkg), good: good, err: disk}
		_, err := inspect(t.Context(), feed.File{ReaderAt: r, Size: int64(len(pkg))})
		require.ErrorIs(t, err, disk, "after %d reads", good)
		require.NotErrorIs(t, err, proget.ErrInvalid)
	}
}

type brokenReader struct {
	io.ReaderAt
	good int
	err  error
}

func (b *brokenReader) ReadAt(p []byte, off int64) (int, error) {
	if b.good--; b.good < 0 {
		return 0, b.err
	}
	return b.ReaderAt.ReadAt(p, off)
}

func TestInspectManyEntries(t *testing.T) {
	t.Parallel()
	entries := []entry{{"a.nuspec", `<package><metadata><id>A</id><version>1</version></metadata></package>`}}
	for i := range 5000 {
		entries = append(entries, entry{fmt.Sprintf("content/%05d.txt", i), ""})
	}
	_, err := inspectBytes(t, zipped(t, entries...))
	require.NoError(t, err)
}

func FuzzInspect(f *testing.F) {
	f.Add(rich(f))
	f.Add(simple(f, "A", "1.0"))
	f.Add(manyEntries(simple(f, "A", "1.0")))
	f.Add(lie(f))
	f.Add(symbols(f, "A", "1.0", entry{"lib/A.pdb", portable("x")}))
	f.Add([]byte("PK\x05\x06" + strings.Repeat("\x00", 18)))
	f.Fuzz(func(t *testing.T, pkg []byte) {
		m, err := inspectBytes(t, pkg)
		if err != nil {
			require.ErrorIs(t, err, proget.ErrInvalid)
			return
		}
		require.NoError(t, checkID(m.Name))
		v, ok := parseVersion(m.Version)
		require.True(t, ok)
		require.Contains(t, []string{nameKey(m.Name) + "." + v.key() + ".nupkg", nameKey(m.Name) + "." + v.key() + ".snupkg"}, m.FileName)
	})
}

func FuzzNuspec(f *testing.F) {
	f.Add([]byte("<package><metadata>" + richMetadata + "</metadata></package>"))
	f.Add([]byte("\xff\xfe<\x00p\x00"))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := parseNuspec(text)
		if err != nil {
			require.ErrorIs(t, err, proget.ErrInvalid)
			return
		}
		require.NoError(t, checkID(m.ID))
	})
}

// Layout of a zip's last records, from section 4.3 of PKWARE's APPNOTE.
const (
	endLen             = 22
	end64Len           = 56
	locator64Len       = 20
	end64Signature     = "PK\x06\x06"
	locator64Signature = "PK\x06\x07"
)

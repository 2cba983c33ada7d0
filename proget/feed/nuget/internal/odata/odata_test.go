package odata

import (
	"cmp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget"
)

// A revision is text whose order is that of a number.
type revision string

func (r revision) String() string { return string(r) }

func (r revision) Compare(v Value) (int, bool) {
	switch v := v.(type) {
	case revision:
		return r.Compare(string(v))
	case string:
		return cmp.Or(cmp.Compare(len(r), len(v)), strings.Compare(string(r), v)), true
	}
	return 0, false
}

// entity is a package as the tests see it.
func entity(property string) (Value, bool) {
	v, ok := map[string]Value{
		"Id": "Acme.Lib", "Version": revision("10"), "Title": nil, "Owner": "ŻÓŁW \u212a2", "Tags": " one two ", "IsLatestVersion": true, "Listed": false,
		"DownloadCount": 42.0, "Published": time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC),
	}[property]
	return v, ok
}

// TestMatch: what clients send, and what follows from the rules.
func TestMatch(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"":                          true,
		"IsLatestVersion":           true,
		"Listed":                    false,
		"not Listed":                true,
		"not not Listed":            false,
		"IsLatestVersion eq true":   true,
		"Id eq 'Acme.Lib'":          true,
		"Id eq 'acme.lib'":          true,
		"Id ne 'ACME.LIB'":          false,
		"'ACME.LIB' eq toupper(Id)": true,
		"Id gt 'ACME.LIA' and Id lt 'acme.lic' and Id le 'ACME.LIB' and Id ge 'aCME.lib'": true,
		"startswith(Id,'ACME') and endswith(Id,'LIB')":                                    true,
		"substringof('ME.L',Id) and indexof(Id,'LIB') eq 5 and indexof(Id,'x') eq -1":     true,
		"Owner eq 'żółw k2' and indexof(Owner,'2') eq 6":                                  true,
		"tolower(Id) eq 'acme.lib'":                                                       true,
		"Version gt '9'":                                                                  true,
		"'9' lt Version and '11' gt Version":                                              true,
		"Version eq '10' and Version eq Version and not (Version lt Version)":             true,
		"Version gt 9 or Version eq null or null eq Version":                              false,
		"Version ne null": true,
		"startswith(Version,'1') and length(Version) eq 2":  true,
		"((tolower(Id) eq 'acme.lib') and IsLatestVersion)": true,
		"'Acme.Lib' eq Id":                                      true,
		"Listed or IsLatestVersion and Listed":                  false,
		"(Listed or IsLatestVersion) and not Listed":            true,
		"substringof(' one ',Tags)":                             true,
		"substringof('ONE', toupper(Tags))":                     true,
		"startswith(tolower(Id),'acme') and endswith(Id,'Lib')": true,
		"length(trim(Tags)) eq 7":                               true,
		"indexof(Id,'Lib') eq 5":                                true,
		"concat(Id,' 1') eq 'Acme.Lib 1'":                       true,
		"DownloadCount gt 41":                                   true,
		"DownloadCount le -1L":                                  false,
		"DownloadCount ne 42":                                   false,
		"Published ge datetime'2024-05-06T07:08:09Z'":           true,
		"Published lt datetime'2024-05-06'":                     false,
		"Published gt datetime'1900-01-01T00:00:00'":            true,
		"Title eq null":                                         true,
		"Title ne null":                                         false,
		"Title eq ''":                                           false,
		"substringof('x',Title)":                                false,
		"Id gt 5":                                               false,
		"Id ne 5":                                               true,
		"Id eq 'it''s'":                                         false,
		"concat('it''s','') eq 'it''s'":                         true,
	} {
		f, err := ParseFilter(text)
		require.NoError(t, err, text)
		got, err := f.Match(entity)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
}

// TestRefused: what cannot be understood is said to be so.
func TestRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"Id eq", "eq", "(Id eq 'a'", "Id eq 'a')", "Id eq 'a", "Id 'a'", "and", "not", "nonsense(Id)", "tolower()", "tolower(Id,Id)", "tolower(Id",
		"Id eq 1x", "Id eq datetime'soon'", "Id eq datetime'2024", "Id = 'a'", "Id eq \"a\"", "a/b eq 1", "Id eq 'a' or", "\x00", "\xff", ";",
		strings.Repeat("(", 1000), strings.Repeat("not ", 1000) + "Listed", strings.Repeat("x", maxLength+1),
	} {
		_, err := ParseFilter(text)
		require.ErrorIs(t, err, proget.ErrInvalid, "%.60q", text)
		require.NotEmpty(t, proget.Message(err))
	}
	for _, text := range []string{"Colour eq 'red'", "Id", "tolower(Listed) eq 'x'", "5"} {
		f, err := ParseFilter(text)
		require.NoError(t, err, text)
		_, err = f.Match(entity)
		require.ErrorIs(t, err, proget.ErrInvalid, text)
	}
}

// TestOnly: a filter that names packages need not be asked of all of them.
func TestOnly(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"Id eq 'A'":                           "a",
		"'A' eq tolower(Id)":                  "a",
		"(Id eq 'B' or Id eq 'A') and Listed": "a b",
		"Listed and (toupper(Id) eq 'A')":     "a",
		"Id eq 'A' or Id eq 'a'":              "a",
		"Id eq 'A' or Listed":                 "-",
		"not (Id eq 'A')":                     "-",
		"Id ne 'A'":                           "-",
		"Title eq 'A'":                        "-",
		"Id eq Title":                         "-",
		"substringof('A',Id)":                 "-",
		"":                                    "-",
	} {
		f, err := ParseFilter(text)
		require.NoError(t, err, text)
		values, ok := f.Only("Id")
		require.Equal(t, want != "-", ok, text)
		if ok {
			require.Equal(t, want, strings.Join(values, " "), text)
		}
	}
	f, err := ParseFilter("not (tolower(Id) eq 'a' and IsLatestVersion)")
	require.NoError(t, err)
	require.True(t, f.Uses("Id"))
	require.True(t, f.Uses("IsLatestVersion"))
	require.False(t, f.Uses("Listed"))
	for text, want := range map[string]bool{
		"IsLatestVersion": true, " (IsLatestVersion eq true)": true, "IsLatestVersion eq false": false, "not IsLatestVersion": false, "Listed": false,
		"IsLatestVersion and Listed": false, "tolower(Id) eq true": false, "trim(Id)": false, "": false,
	} {
		f, err := ParseFilter(text)
		require.NoError(t, err, text)
		require.Equal(t, want, f.Is("IsLatestVersion"), text)
	}
}

func TestOrder(t *testing.T) {
	t.Parallel()
	orders, err := ParseOrder("DownloadCount desc, Id,Version asc")
	require.NoError(t, err)
	require.Equal(t, []Order{{"DownloadCount", true}, {"Id", false}, {"Version", false}}, orders)
	orders, err = ParseOrder("")
	require.NoError(t, err)
	require.Empty(t, orders)
	for _, text := range []string{"Id up", "Id,,Version", "a b c", "Id,"} {
		_, err := ParseOrder(text)
		require.ErrorIs(t, err, proget.ErrInvalid, text)
	}
}

// FuzzFilter: whatever a stranger sends is understood or refused.
func FuzzFilter(f *testing.F) {
	for _, seed := range []string{"IsLatestVersion", "tolower(Id) eq 'a''b' and not (DownloadCount ge 5L)", "Published gt datetime'2024-01-01'", "((("} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		filter, err := ParseFilter(text)
		if err == nil {
			filter.Only("Id")
			filter.Uses("Id")
			_, err = filter.Match(entity)
		}
		if err != nil {
			require.ErrorIs(t, err, proget.ErrInvalid)
		}
		if _, err := ParseOrder(text); err != nil {
			require.ErrorIs(t, err, proget.ErrInvalid)
		}
	})
}

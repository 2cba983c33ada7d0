package nuget

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget"
)

// form makes a push as NuGet clients send it.
func form(t testing.TB, pkg []byte) (*bytes.Buffer, string) {
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	part, err := m.CreateFormFile("package", "package.nupkg")
	require.NoError(t, err)
	_, err = part.Write(pkg)
	require.NoError(t, err)
	require.NoError(t, m.Close())
	return &b, m.FormDataContentType()
}

func TestPush(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"", "api/v2/package", "api/v2/package/"} {
		w := newWorld(t, nil)
		body, contentType := form(t, simple(t, "Acme.Lib", "1.2.3"))
		rec := w.do("PUT", path, body, "Content-Type", contentType, "X-NuGet-ApiKey", "k")
		require.Equal(t, 201, rec.Code, rec.Body)
		require.Equal(t, []proget.Task{proget.TaskPublish}, w.tasks)
		require.Equal(t, "ann", w.packages["acme.lib"].Versions[0].PublishedBy)

		body, contentType = form(t, simple(t, "ACME.lib", "1.2.3.0+other"))
		rec = w.do("PUT", path, body, "Content-Type", contentType)
		require.Equal(t, 409, rec.Code)
		require.Equal(t, "ACME.lib 1.2.3 exists already.\n", rec.Body.String())
		require.Equal(t, "ACME.lib 1.2.3 exists already.", rec.Header().Get("X-NuGet-Warning"))
	}
}

func TestPushRaw(t *testing.T) {
	t.Parallel()
	for _, contentType := range []string{"application/octet-stream", "application/zip", ""} {
		w := newWorld(t, nil)
		rec := w.do("PUT", "api/v2/package", bytes.NewReader(simple(t, "A", "1.0")), "Content-Type", contentType)
		require.Equal(t, 201, rec.Code, rec.Body)
	}
}

func TestPushSkipsFormFields(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	require.NoError(t, m.WriteField("comment", "x"))
	part, err := m.CreateFormFile("file", "a.nupkg")
	require.NoError(t, err)
	_, err = part.Write(simple(t, "A", "1.0"))
	require.NoError(t, err)
	text, err := m.CreatePart(textproto.MIMEHeader{"Content-Disposition": {"form-data; name=after"}, "Content-Type": {"text/plain; charset=utf-8"}})
	require.NoError(t, err)
	_, err = text.Write([]byte("ignored"))
	require.NoError(t, err)
	require.NoError(t, m.Close())
	rec := newWorld(t, nil).do("PUT", "", &b, "Content-Type", m.FormDataContentType())
	require.Equal(t, 201, rec.Code, rec.Body)
}

func TestPushRefuses(t *testing.T) {
	t.Parallel()
	const multi = "multipart/form-data; boundary=b"
	file := "--b\r\nContent-Disposition: form-data; name=package; filename=a.nupkg\r\n\r\n"
	fields := strings.Repeat("--b\r\nContent-Disposition: form-data; name=x\r\n\r\n1\r\n", 17)
	unnamed := "--b\r\nContent-Disposition: form-data; name=package\r\nContent-Type: application/octet-stream\r\n\r\n"
	pkg := string(simple(t, "A", "1.0"))
	whole, wholeType := form(t, []byte(pkg))
	for name, c := range map[string]struct {
		contentType string
		body        io.Reader
		want        string
		status      int
	}{
		"no boundary":       {"multipart/form-data", strings.NewReader(""), "boundary", 400},
		"no part":           {multi, strings.NewReader("--b--\r\n"), "no package file", 400},
		"no file":           {multi, strings.NewReader("--b\r\nContent-Disposition: form-data; name=x\r\n\r\n1\r\n--b--\r\n"), "no package file", 400},
		"many fields":       {multi, strings.NewReader(fields + file + "x\r\n--b--\r\n"), "more than 16 fields", 400},
		"many fields after": {multi, strings.NewReader(file + pkg + "\r\n" + fields + "--b--\r\n"), "more than 16 fields", 400},
		"two packages":      {multi, strings.NewReader(file + pkg + "\r\n" + file + pkg + "\r\n--b--\r\n"), "One push carries one package", 400},
		"two, one unnamed":  {multi, strings.NewReader(file + pkg + "\r\n" + unnamed + pkg + "\r\n--b--\r\n"), "One push carries one package", 400},
		"cut after a file":  {multi, strings.NewReader(file + pkg + "\r\n--b\r\nContent-Disp"), "upload ended", 400},
		"empty body":        {multi, strings.NewReader(""), "no package file", 400},
		"cut before a part": {multi, strings.NewReader("--b\r\nContent-Disp"), "upload ended", 400},
		"cut in the file":   {multi, strings.NewReader(file + "PK"), "upload ended", 400},
		"cut form":          {wholeType, bytes.NewReader(whole.Bytes()[:whole.Len()/2]), "upload ended", 400},
		"connection lost":   {"", iotest.ErrReader(errors.New("reset by peer")), "upload ended", 400},
		"too large":         {"", http.MaxBytesReader(nil, io.NopCloser(strings.NewReader("12345")), 4), "larger than", 413},
		"no package":        {"", strings.NewReader("hello"), "not a NuGet package", 400},
		"empty raw body":    {"", http.NoBody, "holds no package", 400},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			rec := w.do("PUT", "api/v2/package", c.body, "Content-Type", c.contentType)
			require.Equal(t, c.status, rec.Code, rec.Body)
			require.Contains(t, rec.Body.String(), c.want)
			require.Empty(t, w.packages)
		})
	}
}

// TestPushKeepsServerErrors: what fails behind a complete upload is no fault of
// the client.
func TestPushKeepsServerErrors(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.fail = errors.New("no database")
	rec := w.do("PUT", "", bytes.NewReader(simple(t, "A", "1.0")))
	require.Equal(t, 500, rec.Code)
}

func TestUnlistAndRelist(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.publish(simple(t, "Acme.Lib", "1.0"))
	for _, path := range []string{"api/v2/package/Acme.Lib/1.0.0", "acme.lib/1.0"} {
		rec := w.do("DELETE", path, nil)
		require.Equal(t, 204, rec.Code, rec.Body)
		require.Empty(t, getJSON[searchDocument](w, "v3/search").Data)
		require.Equal(t, []string{"1.0.0"}, getJSON[contentDocument](w, "v3/flatcontainer/acme.lib/index.json").Versions)
		require.Equal(t, 200, w.get("v3/flatcontainer/acme.lib/1.0.0/acme.lib.1.0.0.nupkg").Code)

		rec = w.do("POST", path, nil)
		require.Equal(t, 200, rec.Code, rec.Body)
		require.Len(t, getJSON[searchDocument](w, "v3/search").Data, 1)
	}
	for _, path := range []string{"api/v2/package/Acme.Lib/2.0", "api/v2/package/Other/1.0"} {
		require.Equal(t, 404, w.do("DELETE", path, nil).Code)
		require.Equal(t, 404, w.do("POST", path, nil).Code)
	}
}

func TestHardDelete(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &Options{HardDelete: true})
	w.publish(simple(t, "A", "1.0"))
	require.Equal(t, 204, w.do("DELETE", "api/v2/package/a/1.0", nil).Code)
	require.Equal(t, 404, w.do("DELETE", "api/v2/package/a/1.0", nil).Code)
	require.Equal(t, 404, w.get("v3/flatcontainer/a/index.json").Code)
}

func TestContent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	pkg := rich(t)
	w.publish(pkg)
	const at = "v3/flatcontainer/acme.rich/1.2.0-beta.1/"

	rec := w.get(at + "acme.rich.1.2.0-beta.1.nupkg")
	require.Equal(t, 200, rec.Code)
	require.Equal(t, "application/octet-stream", rec.Header().Get("Content-Type"))
	require.Equal(t, pkg, rec.Body.Bytes())

	for range 2 { // the second time from memory
		rec = w.get(at + "acme.rich.nuspec")
		require.Equal(t, 200, rec.Code, rec.Body)
		require.Equal(t, "application/xml", rec.Header().Get("Content-Type"))
		require.Contains(t, rec.Header().Get("Content-Security-Policy"), "sandbox")
		require.Contains(t, rec.Body.String(), "<id>Acme.Rich</id>")
	}

	rec = w.get(at + "readme")
	require.Equal(t, 200, rec.Code)
	require.Equal(t, "text/markdown; charset=utf-8", rec.Header().Get("Content-Type"))
	require.Equal(t, "# Rich\ufffd", rec.Body.String())

	w.publish(simple(t, "Plain", "1.0"))
	require.Equal(t, 404, w.get("v3/flatcontainer/plain/1.0.0/readme").Code)
}

func TestDamagedStorage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.publish(simple(t, "A", "1.0"))
	w.blobs["a.1.0.0.nupkg"] = []byte("lost")
	require.Equal(t, 500, w.get("v3/flatcontainer/a/1.0.0/a.nuspec").Code)
}

func TestBlocked(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.publish(simple(t, "A", "1.0"))
	w.publish(simple(t, "A", "2.0"))
	w.change("a", "2.0", func(s *proget.Status) { s.Blocked = true })
	require.Equal(t, []string{"1.0.0"}, getJSON[contentDocument](w, "v3/flatcontainer/a/index.json").Versions)
	require.Equal(t, "1.0.0", getJSON[searchDocument](w, "v3/search").Data[0].Version)
	require.Equal(t, "1.0.0", getJSON[registrationDocument](w, "v3/registration/a/index.json").Items[0].Upper)
	for _, path := range []string{
		"v3/flatcontainer/a/2.0.0/a.2.0.0.nupkg", "v3/flatcontainer/a/2.0.0/a.nuspec",
		"v3/flatcontainer/a/2.0.0/readme", "v3/registration/a/2.0.0.json",
	} {
		rec := w.get(path)
		require.Equal(t, 404, rec.Code)
		require.Equal(t, "A 2.0 is blocked.\n", rec.Body.String())
	}
	w.change("a", "1.0", func(s *proget.Status) { s.Blocked = true })
	require.Equal(t, 404, w.get("v3/flatcontainer/a/index.json").Code)
	require.Equal(t, 404, w.get("v3/registration/a/index.json").Code)
	require.Empty(t, getJSON[searchDocument](w, "v3/search").Data)
}

func TestNotFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.publish(simple(t, "A", "1.0"))
	for _, path := range []string{
		"v3", "v2/Nothing", "v2/package/b/1.0", "v2/Packages(Id='a',Version='2.0')", "v3/nothing", "v3/flatcontainer/b/index.json", "v3/flatcontainer/a/2.0.0/a.2.0.0.nupkg",
		"v3/flatcontainer/a/2.0.0/a.nuspec", "v3/registration/b/index.json", "v3/registration/a/2.0.0.json",
		"v3/registration/b/page/1.0.0/1.0.0.json", "v3/registration/a/page/2.0.0/3.0.0.json",
		"v3/registration/a/page/2.0.0/1.0.0.json",
	} {
		rec := w.get(path)
		require.Equal(t, 404, rec.Code, path)
		require.Equal(t, "text/plain; charset=utf-8", rec.Header().Get("Content-Type"))
		require.NotEmpty(t, rec.Body.String())
		require.Empty(t, rec.Header().Get("X-NuGet-Warning"))
	}
}

func TestMethodNotAllowed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for request, allow := range map[string]string{
		"DELETE v3/index.json":                       "GET, HEAD",
		"POST v3/search":                             "GET, HEAD",
		"PUT v3/flatcontainer/a/1.0.0/a.1.0.0.nupkg": "GET, HEAD",
		"POST v2/Packages()":                         "GET, HEAD",
		"PATCH a/1.0.0":                              "POST, DELETE",
	} {
		method, path, _ := strings.Cut(request, " ")
		rec := w.do(method, path, nil)
		require.Equal(t, 405, rec.Code, request)
		require.Equal(t, allow, rec.Header().Get("Allow"), request)
		require.Contains(t, rec.Body.String(), "takes "+allow+" and not "+method)
	}
	require.Equal(t, 404, w.do("DELETE", "v3/nothing", nil).Code)
}

func TestHead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.publish(rich(t))
	server := httptest.NewServer(w)
	defer server.Close()
	for _, path := range []string{
		"v3/index.json", "v3/search", "v3/autocomplete", "v3/registration/acme.rich/index.json",
		"v3/flatcontainer/acme.rich/index.json", "v3/flatcontainer/acme.rich/1.2.0-beta.1/acme.rich.nuspec",
		"v3/flatcontainer/acme.rich/1.2.0-beta.1/acme.rich.1.2.0-beta.1.nupkg", "v3/nothing",
	} {
		get, gotten := ask(t, server, "GET", path)
		head, none := ask(t, server, "HEAD", path)
		require.Equal(t, get.StatusCode, head.StatusCode, path)
		require.Equal(t, get.Header.Get("Content-Type"), head.Header.Get("Content-Type"), path)
		require.NotEmpty(t, gotten)
		require.Empty(t, none, path)
	}
}

func ask(t *testing.T, server *httptest.Server, method, path string) (*http.Response, []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, server.URL+"/nuget/main/"+path, nil)
	require.NoError(t, err)
	resp, err := server.Client().Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp, body
}

// TestIndexLinks: every URL of the index belongs to a resource that answers.
func TestIndexLinks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.publish(rich(t))
	for _, resource := range getJSON[indexDocument](w, "v3/index.json").Resources {
		path, ok := strings.CutPrefix(resource.ID, w.base+"/")
		require.True(t, ok, resource.ID)
		switch {
		case strings.HasPrefix(resource.Type, "PackageBaseAddress"), resource.Type == "RegistrationsBaseUrl/Versioned":
			path += "acme.rich/index.json"
		case strings.HasPrefix(resource.Type, "RegistrationsBaseUrl"), resource.Type == "PackagePublish/2.0.0", resource.Type == "SymbolPackagePublish/4.9.0":
			continue // tested elsewhere
		case strings.HasPrefix(resource.Type, "ReadmeUriTemplate"):
			path = strings.NewReplacer("{lower_id}", "acme.rich", "{lower_version}", "1.2.0-beta.1").Replace(path)
		}
		require.Equal(t, 200, w.get(path).Code, path)
	}
}

// TestIndexPerBase: a node behind several names answers each with its own URLs.
func TestIndexPerBase(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for i := range 300 {
		w.base = fmt.Sprintf("https://h%d.example/nuget/main", i)
		doc := getJSON[indexDocument](w, "v3/index.json")
		require.True(t, strings.HasPrefix(doc.Resources[0].ID, w.base+"/"))
	}
}

func TestWriteError(t *testing.T) {
	t.Parallel()
	rec := httptest.NewRecorder()
	writeError(rec, httptest.NewRequest("PUT", "/", nil), 409, "Größe\r\nX: y", nil)
	require.Equal(t, 409, rec.Code)
	require.Equal(t, "Gr??e??X: y", rec.Header().Get("X-NuGet-Warning"))
	require.Equal(t, "Größe\r\nX: y\n", rec.Body.String())

	rec = httptest.NewRecorder()
	writeError(rec, httptest.NewRequest("PUT", "/", nil), 401, "Sign in.", nil)
	require.Empty(t, rec.Header().Get("X-NuGet-Warning"))
}

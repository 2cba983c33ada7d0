package web_test

import (
	"bytes"
	"encoding/json"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget"
)

// send uploads a file through the form of a feed.
func (b *browser) send(feed, folder, name, content string, header ...string) *httptest.ResponseRecorder {
	b.w.t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	require.NoError(b.w.t, form.WriteField("path", folder))
	part, err := form.CreateFormFile("file", name)
	require.NoError(b.w.t, err)
	_, err = part.Write([]byte(content))
	require.NoError(b.w.t, err)
	require.NoError(b.w.t, form.Close())
	r := httptest.NewRequestWithContext(b.w.t.Context(), http.MethodPost, "/feeds/"+feed+"/upload", &body)
	r.Header.Set("Content-Type", form.FormDataContentType())
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return b.do(r)
}

func TestUpload(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann := w.as("ann")
	require.Contains(t, ann.page("/feeds/main"), `href="/feeds/main/upload"`)
	require.NotContains(t, w.browser().page("/feeds/main"), "/upload", "not for those who may not publish")
	page := ann.page("/feeds/main/upload")
	require.Contains(t, page, `accept=".json"`)
	require.Contains(t, page, "Any &lt;JSON&gt;.")

	large, err := json.Marshal(map[string]string{"Name": "Große Wörter", "Version": "1.0", "Padding": strings.Repeat("x", 1<<20)})
	require.NoError(t, err)
	rec := ann.send("main", " /a folder/ ", "package.json", string(large))
	require.Equal(t, http.StatusSeeOther, rec.Code, rec.Body)
	require.Contains(t, ann.page(rec.Header().Get("Location")), "<h1>Große Wörter")
	_, _, _, err = w.store.FindAlias(t.Context(), w.main.ID, "/a folder/package.json")
	require.NoError(t, err, "the type learns where the file goes")

	rec = ann.send("main", "a <folder>", "package.json", string(large))
	require.Equal(t, http.StatusConflict, rec.Code)
	require.Contains(t, rec.Body.String(), "already exists in feed main")
	require.Contains(t, rec.Body.String(), `value="a &lt;folder&gt;"`)
	rec = ann.send("main", "", "package.json", "no")
	require.Equal(t, http.StatusBadRequest, rec.Code)
	require.Contains(t, rec.Body.String(), "not JSON")
	rec = ann.post("/feeds/main/upload", "path", "x")
	require.Equal(t, http.StatusBadRequest, rec.Code)
	require.Equal(t, http.StatusForbidden, ann.send("main", "", "p", "{}", "Sec-Fetch-Site", "cross-site").Code)
	require.Equal(t, http.StatusForbidden, w.as("bob").send("main", "", "p", "{}").Code)
	require.Contains(t, w.browser().send("main", "", "p", "{}").Header().Get("Location"), "/sign-in")
	_, err = w.store.LoadPackage(t.Context(), w.main.ID, "")
	require.ErrorIs(t, err, proget.ErrNotFound)
}

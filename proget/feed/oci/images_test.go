package oci_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestManyLayers: an image of more layers than are read with their repository is
// refused, whether or not they are there.
func TestManyLayers(t *testing.T) {
	t.Parallel()
	r := start(t)
	blobs := []string{"{}"}
	for n := range 1000 {
		blobs = append(blobs, fmt.Sprint("layer ", n))
	}
	a := r.do(http.StatusBadRequest, http.MethodPut, "app/manifests/1", string(image("", blobs...)), "Content-Type", imageType)
	require.Equal(t, "MANIFEST_INVALID", code(t, a))
	require.Contains(t, string(a.Body), "1001 layers")
	a = r.do(http.StatusBadRequest, http.MethodPut, "app/manifests/1", string(image("", blobs[:1000]...)), "Content-Type", imageType)
	require.Equal(t, "MANIFEST_BLOB_UNKNOWN", code(t, a))
	twice := append([]string{"{}"}, "one", "one")
	r.push("app", "{}")
	r.push("app", "one")
	r.do(http.StatusCreated, http.MethodPut, "app/manifests/1", string(image("", twice...)), "Content-Type", imageType)
}

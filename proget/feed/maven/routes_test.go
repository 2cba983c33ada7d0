package maven

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/proget"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		method, path string
		action       action
		segments     string
		algorithm    proget.Algorithm
		task         proget.Task
	}{
		{"GET", "", browse, "", "", proget.TaskView},
		{"HEAD", "com/acme/", browse, "com/acme", "", proget.TaskView},
		{"GET", "com/acme/lib/1.0/lib-1.0.jar", getFile, "com/acme/lib/1.0/lib-1.0.jar", "", proget.TaskView},
		{"GET", "com/acme/lib/1.0/lib-1.0.jar.sha256", getFile, "com/acme/lib/1.0/lib-1.0.jar", proget.SHA256, proget.TaskView},
		{"GET", "com/acme/maven-metadata.xml", getMetadata, "com/acme/maven-metadata.xml", "", proget.TaskView},
		{"HEAD", "com/maven-metadata.xml.md5", getMetadata, "com/maven-metadata.xml", proget.MD5, proget.TaskView},
		{"GET", "a%20b/c%2Bd", getFile, "a b/c+d", "", proget.TaskView},
		{"PUT", "com/acme/lib/1.0/lib-1.0.jar", putFile, "com/acme/lib/1.0/lib-1.0.jar", "", proget.TaskPublish},
		{"PUT", "com/acme/lib/1.0/lib-1.0.jar.sha512", putChecksum, "com/acme/lib/1.0/lib-1.0.jar", proget.SHA512, proget.TaskPublish},
		{"PUT", "com/acme/maven-metadata.xml", putMetadata, "com/acme/maven-metadata.xml", "", proget.TaskPublish},
		{"PUT", "com/acme/maven-metadata.xml.sha1", putMetadata, "com/acme/maven-metadata.xml", proget.SHA1, proget.TaskPublish},
		{"DELETE", "com/acme/lib/1.0", remove, "com/acme/lib/1.0", "", proget.TaskManage},
		{"DELETE", "com/acme/lib/1.0/", remove, "com/acme/lib/1.0", "", proget.TaskManage},
		{"DELETE", "com/acme/lib/1.0.sha1", remove, "com/acme/lib/1.0.sha1", "", proget.TaskManage},
		{"PUT", "com/acme/", unknown, "", "", proget.TaskView},
		{"POST", "com/acme/lib/1.0/lib-1.0.jar", unknown, "", "", proget.TaskView},
		{"GET", "com/%zz", unknown, "", "", proget.TaskView},
		{"GET", "com%2facme/", unknown, "", "", proget.TaskView},
	} {
		rt := parse(tc.method, tc.path)
		require.Equal(t, route{tc.action, rt.segments, tc.algorithm}, rt, "%s %s", tc.method, tc.path)
		require.Equal(t, tc.segments, strings.Join(rt.segments, "/"), "%s %s", tc.method, tc.path)
		task, err := operations.Task(rt.action)
		require.NoError(t, err)
		require.Equal(t, tc.task, task, "%s %s", tc.method, tc.path)
	}
	require.Equal(t, unknown, parse(http.MethodPatch, "").action)
}

package pypi

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRoutes(t *testing.T) {
	t.Parallel()
	for request, want := range map[[2]string]route{
		{"GET", ""}:                           {action: home},
		{"GET", "simple"}:                     {action: listProjects},
		{"HEAD", "simple/"}:                   {action: listProjects, slash: true},
		{"GET", "simple/a"}:                   {action: getProject, name: "a"},
		{"GET", "simple/a.b/"}:                {action: getProject, name: "a.b", slash: true},
		{"GET", "simple/json"}:                {action: getProject, name: "json"},
		{"GET", "simple/a/b/"}:                {slash: true},
		{"GET", "simple/a%2Fb/"}:              {},
		{"GET", "simple/%zz/"}:                {},
		{"GET", "packages/a/a-1%2Bx.tar.gz"}:  {action: getFile, name: "a", arg: "a-1+x.tar.gz"},
		{"GET", "pypi/a/json"}:                {action: getJSON, name: "a"},
		{"GET", "pypi/a/1.0/json"}:            {action: getJSON, name: "a", arg: "1.0"},
		{"GET", "pypi/pypi/json/"}:            {action: getJSON, name: "pypi", slash: true},
		{"GET", "pypi/json"}:                  {},
		{"GET", "a/json"}:                     {action: getJSON, name: "a"},
		{"GET", "a/1.0/json"}:                 {action: getJSON, name: "a", arg: "1.0"},
		{"GET", "legacy/json"}:                {},
		{"GET", "json"}:                       {},
		{"GET", "a/1.0/x/json"}:               {},
		{"POST", ""}:                          {action: uploadForm},
		{"POST", "legacy/"}:                   {action: uploadForm},
		{"POST", "simple/"}:                   {},
		{"PUT", "legacy/"}:                    {},
		{"PUT", "upload/a-1.tar.gz"}:          {action: uploadFile, arg: "a-1.tar.gz"},
		{"POST", "upload"}:                    {action: uploadFile},
		{"PUT", "upload/a/b"}:                 {},
		{"DELETE", "packages/a/a-1.0.tar.gz"}: {},
	} {
		require.Equal(t, want, parse(request[0], request[1]), request)
	}
}

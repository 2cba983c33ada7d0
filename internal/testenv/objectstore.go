package testenv

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// An ObjectStore is a server of objects with one empty bucket. What opens it
// finds its credentials in the environment of this process.
type ObjectStore struct {
	*Process
	URL string // for storage.Open; append a prefix with Prefix
}

// Prefix returns the URL of a part of the bucket.
func (o *ObjectStore) Prefix(name string) string {
	separator := "?"
	if strings.Contains(o.URL, "?") {
		separator = "&"
	}
	return o.URL + separator + "prefix=" + name + "/"
}

const bucketName = "packages"

const installObjectStores = "scripts/install-test-deps installs it"

// StartS3 starts versitygw, an S3 server over a folder. It must be called by a
// test that is not parallel, since it sets the environment.
func StartS3(t testing.TB) *ObjectStore {
	t.Helper()
	program := Program(t, installObjectStores, "versitygw", filepath.Join(cache(), "bin", "versitygw"))
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, bucketName), 0o750); err != nil {
		t.Fatal(err)
	}
	setenv(t, map[string]string{"AWS_ACCESS_KEY_ID": "tester", "AWS_SECRET_ACCESS_KEY": "a-secret-for-tests", "AWS_EC2_METADATA_DISABLED": "true"})
	address := fmt.Sprintf("127.0.0.1:%d", FreePort(t))
	cmd := exec.Command(program, "--port", address, "posix", dir)
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY=tester", "ROOT_SECRET_KEY=a-secret-for-tests")
	return &ObjectStore{Start(t, "http://"+address, cmd), S3URL("http://" + address)}
}

// S3URL is the URL of the bucket that StartS3 makes, at an endpoint.
func S3URL(endpoint string) string {
	return "s3://" + bucketName + "?region=us-east-1&use_path_style=true&endpoint=" + endpoint
}

// StartAzure starts Azurite, Microsoft's emulator of Azure Blob Storage. It must
// be called by a test that is not parallel. The container is for the caller to
// make.
func StartAzure(t testing.TB) *ObjectStore {
	t.Helper()
	node := Program(t, "install Node.js (Debian: apt-get install npm)", "node")
	script := filepath.Join(cache(), "azurite", "node_modules", "azurite", "dist", "src", "blob", "main.js")
	if _, err := os.Stat(script); err != nil {
		Missing(t, "Azurite", installObjectStores)
	}
	port := FreePort(t)
	address := fmt.Sprintf("127.0.0.1:%d", port)
	setenv(t, map[string]string{ // the account that every installation of it has
		"AZURE_STORAGE_ACCOUNT": "devstoreaccount1",
		"AZURE_STORAGE_KEY":     "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="})
	cmd := exec.Command(node, script, "--blobHost", "127.0.0.1", "--blobPort", fmt.Sprint(port), "--location", t.TempDir(),
		"--silent", "--skipApiVersionCheck", "--disableTelemetry")
	return &ObjectStore{Start(t, "http://"+address, cmd), "azblob://" + bucketName + "?protocol=http&localemu=true&domain=" + address}
}

// StartGCS starts an emulator of Google Cloud Storage. It must be called by a
// test that is not parallel.
func StartGCS(t testing.TB) *ObjectStore {
	t.Helper()
	program := Program(t, installObjectStores, "fake-gcs-server", filepath.Join(cache(), "bin", "fake-gcs-server"))
	address := fmt.Sprintf("127.0.0.1:%d", FreePort(t))
	setenv(t, map[string]string{"STORAGE_EMULATOR_HOST": address})
	host, port, _ := strings.Cut(address, ":")
	cmd := exec.Command(program, "-scheme", "http", "-host", host, "-port", port, "-backend", "memory", "-public-host", address, "-log-level", "error")
	o := &ObjectStore{Start(t, "http://"+address, cmd), "gs://" + bucketName}
	resp, err := http.Post("http://"+address+"/storage/v1/b?project=test", "application/json", strings.NewReader(`{"name":"`+bucketName+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("the bucket was not made: %s", resp.Status)
	}
	return o
}

func setenv(t testing.TB, all map[string]string) {
	for name, value := range all {
		t.Setenv(name, value)
	}
}

package testenv

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/sas"
)

// Bucket is the bucket or container that each of these servers has at first.
const Bucket = "packages"

// S3 is a server with the protocol of Amazon S3.
type S3 struct {
	*Process
	Address string
}

// StartS3 starts a server that stops with the test. It sets the server's credentials in
// the environment, so the test must not be parallel; its subtests may.
func StartS3(t testing.TB) *S3 {
	t.Helper()
	program := Program(t, "run make deps", filepath.Join(cache(), "bin", "versitygw"))
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, Bucket), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "access")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "hidden-key")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(dir, "none"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(dir, "none"))
	address := fmt.Sprintf("127.0.0.1:%d", FreePort(t))
	cmd := exec.Command(program, "--port", address, "--quiet", "posix", dir)
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY=access", "ROOT_SECRET_KEY=hidden-key")
	return &S3{Start(t, "http://"+address, cmd), address}
}

// BucketURL returns the URL of the bucket, or of its part below prefix, at the address
// of the server or of a proxy.
func (s *S3) BucketURL(address, prefix string) string {
	return fmt.Sprintf("s3://%s?region=us-east-1&endpoint=http://%s&use_path_style=true&prefix=%s", Bucket, address, prefix)
}

// Azurite is Microsoft's emulator of Azure Blob Storage.
type Azurite struct {
	*Process
	Address string
}

// The emulator's well-known account.
const (
	azuriteAccount = "devstoreaccount1"
	azuriteKey     = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)

// StartAzurite is like StartS3 for Azure.
func StartAzurite(t testing.TB) *Azurite {
	t.Helper()
	script := filepath.Join(cache(), "azurite", "node_modules", "azurite", "dist", "src", "blob", "main.js")
	if _, err := os.Stat(script); err != nil {
		Missing(t, "Azurite", "run make deps")
	}
	node := Program(t, "install Node.js (Debian: apt-get install nodejs)", "node")
	t.Setenv("AZURE_STORAGE_ACCOUNT", azuriteAccount)
	t.Setenv("AZURE_STORAGE_KEY", azuriteKey)
	t.Setenv("AZURE_STORAGE_SAS_TOKEN", "")
	port := FreePort(t)
	address := fmt.Sprintf("127.0.0.1:%d", port)
	a := &Azurite{Start(t, "http://"+address, exec.Command(node, script, "--blobHost", "127.0.0.1", "--blobPort", strconv.Itoa(port),
		"--location", t.TempDir(), "--silent", "--skipApiVersionCheck", "--disableTelemetry")), address}
	key, err := azblob.NewSharedKeyCredential(azuriteAccount, azuriteKey)
	if err != nil {
		t.Fatal(err)
	}
	client, err := azblob.NewClientWithSharedKeyCredential("http://"+address+"/"+azuriteAccount, key, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.CreateContainer(t.Context(), Bucket, nil); err != nil {
		t.Fatal(err)
	}
	return a
}

// BucketURL is like S3.BucketURL for Azure.
func (a *Azurite) BucketURL(address, prefix string) string {
	return fmt.Sprintf("azblob://%s?protocol=http&domain=%s&prefix=%s", Bucket, address, prefix)
}

// AzuriteSAS returns a signature that gives access to the container for an hour.
func AzuriteSAS(t testing.TB) string {
	t.Helper()
	key, err := azblob.NewSharedKeyCredential(azuriteAccount, azuriteKey)
	if err != nil {
		t.Fatal(err)
	}
	query, err := sas.BlobSignatureValues{
		Version: sas.Version, ContainerName: Bucket, ExpiryTime: time.Now().Add(time.Hour).UTC(),
		Permissions: (&sas.ContainerPermissions{Read: true, Add: true, Create: true, Write: true, Delete: true, List: true}).String(),
	}.SignWithSharedKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return query.Encode()
}

// GCS is an emulator of Google Cloud Storage.
type GCS struct {
	*Process
	Address string
}

// StartGCS is like StartS3 for Google.
func StartGCS(t testing.TB) *GCS {
	t.Helper()
	program := Program(t, "run make deps", filepath.Join(cache(), "bin", "fake-gcs-server"))
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, Bucket), 0o755); err != nil {
		t.Fatal(err)
	}
	port := FreePort(t)
	address := fmt.Sprintf("127.0.0.1:%d", port)
	t.Setenv("STORAGE_EMULATOR_HOST", address)
	return &GCS{Start(t, "http://"+address, exec.Command(program, "-scheme", "http", "-host", "127.0.0.1", "-port", strconv.Itoa(port),
		"-backend", "memory", "-data", dir, "-public-host", address, "-log-level", "error")), address}
}

// BucketURL is like S3.BucketURL for Google; the server's address is only in the
// environment.
func (g *GCS) BucketURL(prefix string) string {
	return fmt.Sprintf("gs://%s?prefix=%s", Bucket, prefix)
}

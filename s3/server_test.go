package s3

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"sharer/mirror/storetest"
)

const (
	access = "test"
	secret = "only-for-this-test"
	bucket = "mirrors"
)

// server starts a real S3 server on loopback, with one bucket, and returns its URL, and where its objects lie. It is versitygw with files behind it:
// SHARER_S3_SERVER is its path, or it is in PATH.
func server(t *testing.T) (url, dir string) {
	t.Helper()
	program := os.Getenv("SHARER_S3_SERVER")
	if program == "" {
		var err error
		if program, err = exec.LookPath("versitygw"); err != nil {
			t.Skip("no S3 server: go install github.com/versity/versitygw/cmd/versitygw@v1.8.0, or say SHARER_S3_SERVER=PATH")
		}
	}
	dir = t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, bucket), 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	said, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "--access", access, "--secret", secret, "--port", addr, "--quiet", "posix", "--sidecar", t.TempDir(), dir)
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = cmd.Process.Kill(), cmd.Wait()
		if text, err := os.ReadFile(said.Name()); t.Failed() && err == nil {
			t.Logf("the server says: %s", text)
		}
		_ = said.Close()
	})
	t.Setenv("AWS_ACCESS_KEY_ID", access)
	t.Setenv("AWS_SECRET_ACCESS_KEY", secret)
	listens(t, "tcp", addr)
	return fmt.Sprintf("s3://%s/some/prefix?endpoint=http://%s&path-style=1", bucket, addr), dir
}

func TestStore(t *testing.T) {
	url, _ := server(t)
	s, err := Open(url)
	if err == nil {
		err = s.Check(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	storetest.Run(t, s)
	other := *s
	other.bucket = "another"
	if err := other.Check(t.Context()); err == nil {
		t.Error("a bucket that is not there")
	}
	_, h := storetest.Text(1, 10)
	if _, err := other.Range(t.Context(), h, 0, 1); err == nil || missing(err) != err {
		t.Errorf("a bucket that is not there counts as one without the content: %v", err)
	}
}

func TestOpen(t *testing.T) {
	for _, text := range []string{"", "bucket", "http://bucket/x", "s3:///x", "s3://b?end=x", "s3://b?endpoint=127.0.0.1:9000", "s3://b?endpoint=http://h/path", "s3://key:secret@b/x"} {
		if _, err := Open(text); err == nil {
			t.Errorf("%q opened", text)
		}
	}
	for text, prefix := range map[string]string{"s3://b": "", "s3://b/": "", "s3://b/a/c/": "a/c/", "s3://b/a?region=x&path-style=1": "a/"} {
		if s, err := Open(text); err != nil || s.prefix != prefix || s.bucket != "b" {
			t.Errorf("%q: %+v %v", text, s, err)
		}
	}
}

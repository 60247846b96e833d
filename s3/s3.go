// Package s3 keeps the contents of mirrors in a bucket of an S3 server: each is one object, PREFIX/HASH, its BLAKE3 in hex.
//
// What it promises: it is a [mirror.Store], as package mirror/storetest of sharer tests it, against a real server. The server
// checks a checksum of what it is sent before it keeps it.
//
// What it does not: it verifies nothing that it reads, which mirror.Remote does, and makes no bucket. A prefix is one node's.
package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"sharer/chunk"
	"sharer/mirror"
)

// partSize is that of large objects: 10,000 parts are the most, so a content may have 625 GiB. Four of them are in memory.
const partSize = 64 << 20

// Store is a part of a bucket.
type Store struct {
	client *minio.Client
	bucket string
	prefix string // ends with a slash, or is empty
}

var _ mirror.Store = (*Store)(nil)

// Open returns the store that a URL names: s3://BUCKET/PREFIX?endpoint=URL&region=NAME&path-style=1. Without an endpoint it is
// Amazon's. Credentials are looked for where S3 tools do: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, the file of AWS_SHARED_CREDENTIALS_FILE or
// ~/.aws/credentials under AWS_PROFILE, the role of the machine. The error names what is wrong with the URL; the server is not asked.
func Open(text string) (*Store, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "s3" || u.Host == "" || u.User != nil {
		return nil, fmt.Errorf("%q is not s3://BUCKET/PREFIX?endpoint=URL", text)
	}
	q := u.Query()
	for name := range q {
		if name != "endpoint" && name != "region" && name != "path-style" {
			return nil, fmt.Errorf("%s: what is %q? Use endpoint, region, path-style", text, name)
		}
	}
	end := &url.URL{Scheme: "https", Host: "s3.amazonaws.com"}
	if e := q.Get("endpoint"); e != "" {
		if end, err = url.Parse(e); err != nil || end.Host == "" || end.Scheme != "http" && end.Scheme != "https" || strings.Trim(end.Path, "/") != "" {
			return nil, fmt.Errorf("endpoint %q is not http://HOST:PORT or https://HOST", e)
		}
	}
	lookup := minio.BucketLookupAuto
	if p := q.Get("path-style"); p == "1" || p == "true" {
		lookup = minio.BucketLookupPath
	}
	client, err := minio.New(end.Host, &minio.Options{
		Creds: credentials.NewChainCredentials([]credentials.Provider{
			&credentials.EnvAWS{}, &credentials.EnvMinio{}, &credentials.FileAWSCredentials{}, &credentials.IAM{},
		}),
		Secure: end.Scheme == "https", Region: q.Get("region"), BucketLookup: lookup,
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", text, err)
	}
	s := &Store{client: client, bucket: u.Host}
	if p := strings.Trim(u.Path, "/"); p != "" {
		s.prefix = p + "/"
	}
	return s, nil
}

// Check says whether the bucket is there and may be listed.
func (s *Store) Check(ctx context.Context) error {
	there, err := s.client.BucketExists(ctx, s.bucket)
	if err == nil && !there {
		err = fmt.Errorf("no bucket %s. Make it first, with the tools of your provider", s.bucket)
	}
	return err
}

func (s *Store) name(h chunk.Hash) string { return s.prefix + h.String() }

// Put is that of mirror.Store: an object is there when all of it is, and was checked.
func (s *Store) Put(ctx context.Context, h chunk.Hash, size int64, r io.ReadSeeker) error {
	_, err := s.client.PutObject(ctx, s.bucket, s.name(h), r, size, minio.PutObjectOptions{
		ContentType: "application/octet-stream", SendContentMd5: true, PartSize: partSize, NumThreads: 4,
	})
	return err
}

// Range is that of mirror.Store.
func (s *Store) Range(ctx context.Context, h chunk.Hash, off, n int64) (io.ReadCloser, error) {
	o := minio.GetObjectOptions{}
	if err := o.SetRange(off, off+n-1); err != nil {
		return nil, err
	}
	in, _, _, err := minio.Core{Client: s.client}.GetObject(ctx, s.bucket, s.name(h), o)
	if code := minio.ToErrorResponse(err).StatusCode; err != nil && code == http.StatusRequestedRangeNotSatisfiable {
		return io.NopCloser(strings.NewReader("")), nil // shorter than was thought: who verifies says so
	}
	return in, missing(err)
}

// missing turns the error for what is not there.
func missing(err error) error {
	if e := minio.ToErrorResponse(err); err != nil && e.StatusCode == http.StatusNotFound && e.Code != minio.NoSuchBucket {
		return fs.ErrNotExist
	}
	return err
}

// Remove is that of mirror.Store.
func (s *Store) Remove(ctx context.Context, h chunk.Hash) error {
	err := missing(s.client.RemoveObject(ctx, s.bucket, s.name(h), minio.RemoveObjectOptions{}))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Each is that of mirror.Store. Objects with other names are left alone.
func (s *Store) Each(ctx context.Context, visit func(h chunk.Hash, size int64) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for o := range s.client.ListObjectsIter(ctx, s.bucket, minio.ListObjectsOptions{Prefix: s.prefix}) {
		if o.Err != nil {
			return o.Err
		}
		h, err := chunk.ParseHash(strings.TrimPrefix(o.Key, s.prefix))
		if err != nil || s.name(h) != o.Key {
			continue
		}
		if err := visit(h, o.Size); err != nil {
			return err
		}
	}
	return ctx.Err()
}

package gateway

import (
	"io"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync"

	"sharer/chunk"
)

// byExtension are the types of names. The system's own table is not asked: what is served must not depend on it.
var byExtension = map[string]string{
	".aac": "audio/aac", ".avi": "video/x-msvideo", ".avif": "image/avif", ".bmp": "image/bmp", ".bz2": "application/x-bzip2",
	".css": "text/css; charset=utf-8", ".csv": "text/csv; charset=utf-8", ".deb": "application/vnd.debian.binary-package", ".epub": "application/epub+zip",
	".flac": "audio/flac", ".gif": "image/gif", ".gz": "application/gzip", ".htm": "text/html; charset=utf-8", ".html": "text/html; charset=utf-8",
	".ico": "image/x-icon", ".iso": "application/x-iso9660-image", ".jpeg": "image/jpeg", ".jpg": "image/jpeg", ".js": "text/javascript; charset=utf-8",
	".json": "application/json", ".log": "text/plain; charset=utf-8", ".m3u8": "application/vnd.apple.mpegurl", ".m4a": "audio/mp4", ".m4v": "video/mp4",
	".md": "text/plain; charset=utf-8", ".mjs": "text/javascript; charset=utf-8", ".mkv": "video/x-matroska", ".mov": "video/quicktime", ".mp3": "audio/mpeg",
	".mp4": "video/mp4", ".mpd": "application/dash+xml", ".oga": "audio/ogg", ".ogg": "audio/ogg", ".ogv": "video/ogg", ".opus": "audio/ogg", ".otf": "font/otf",
	".pdf": "application/pdf", ".png": "image/png", ".rar": "application/vnd.rar", ".srt": "text/plain; charset=utf-8", ".svg": "image/svg+xml",
	".tar": "application/x-tar", ".toml": "text/plain; charset=utf-8", ".ts": "video/mp2t", ".ttf": "font/ttf", ".txt": "text/plain; charset=utf-8",
	".vtt": "text/vtt; charset=utf-8", ".wasm": "application/wasm", ".wav": "audio/wav", ".webm": "video/webm", ".webmanifest": "application/manifest+json",
	".webp": "image/webp", ".woff": "font/woff", ".woff2": "font/woff2", ".xhtml": "application/xhtml+xml", ".xml": "application/xml", ".xz": "application/x-xz",
	".zip": "application/zip", ".zst": "application/zstd",
}

// active says whether a browser may run scripts that lie in a document of that type.
func active(kind string) bool {
	kind, _, _ = strings.Cut(kind, ";")
	return kind == "text/html" || strings.HasSuffix(kind, "xml")
}

// media says whether a content may be shown before it is verified: what is wrong in it is seen or heard, and runs nothing.
func media(kind string) bool {
	return strings.HasPrefix(kind, "video/") || strings.HasPrefix(kind, "audio/")
}

const maxTypes = 1024 // contents whose sniffed types are remembered, of 100 bytes each

// typeCache remembers what contents without a telling name are, so that a reader that jumps to the end
// need not wait for the beginning.
type typeCache struct {
	mu    sync.Mutex
	kinds map[chunk.ID]string
}

func newTypeCache() *typeCache { return &typeCache{kinds: map[chunk.ID]string{}} }

// of is the type of a content: by its name, else by its first bytes, which may have to be waited for.
func (c *typeCache) of(t target, body Content) (string, error) {
	if kind := byExtension[strings.ToLower(path.Ext(t.name))]; kind != "" {
		return kind, nil
	}
	c.mu.Lock()
	kind := c.kinds[t.id]
	c.mu.Unlock()
	if kind != "" {
		return kind, nil
	}
	var head [512]byte
	n, err := io.ReadFull(body, head[:])
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return "", err
	}
	if int64(n) < min(body.Size(), int64(len(head))) {
		return "", io.ErrUnexpectedEOF
	}
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	kind = http.DetectContentType(head[:n])
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.kinds) >= maxTypes {
		clear(c.kinds)
	}
	c.kinds[t.id] = kind
	return kind, nil
}

// disposition names a content for who saves it (RFC 6266): any text can stand in it.
func disposition(name string) string {
	name = path.Base(strings.ReplaceAll(name, `\`, "/"))
	plain := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || strings.ContainsRune(`"\%/`, r) {
			return '_'
		}
		return r
	}, name)
	out := mime.FormatMediaType("inline", map[string]string{"filename": plain})
	if out == "" || plain == name {
		return out
	}
	return out + "; filename*=UTF-8''" + strings.ReplaceAll(url.QueryEscape(name), "+", "%20")
}

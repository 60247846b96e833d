//go:build linux

package e2e

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestNames seeds names that people do not choose, and fetches each by its link.
func TestNames(t *testing.T) {
	needs(t)
	dir := folder(t)
	names := []string{"new\nline", "bad \xff\xfe\x80 utf-8", strings.Repeat("n", 255), strings.Repeat("ü", 127), "-o", "-", "CON", "dots...", " space ",
		`back\slash`, `quote"'`, "\x1b[31mred\x07", "%2F..%2F", "?s=1&n=x#y", "a:b", "tab\tand\rreturn", "\u202egpj.exe", "emoji \U0001F980", "x.part", "x.part.sharer_"}
	paths := map[string]string{} // id to original
	for i, name := range names {
		generate(t, filepath.Join(dir, name), int64(1000*i), uint64(300+i))
	}
	before := originals(t, dir)
	seed, addr := seeding(t, how{}, "127.0.0.1:0", dir)
	var links strings.Builder
	for _, name := range names {
		path := filepath.Join(dir, name)
		found := seed.all(func(e event) bool { return e.Type == "file" && (e.Path == path || string(e.PathBytes) == path) })
		if len(found) == 0 {
			t.Logf("%q is not seeded", name)
			continue
		}
		paths["blake3/"+found[0].BLAKE3], paths[found[0].SHA256] = path, path
		links.WriteString(found[0].Link + "\n")
	}
	target := filepath.Join(folder(t), "copies")
	get := getting(t, how{stdin: links.String()}, "127.0.0.1:0", addr, "-", target+"/", "--rename")
	if code := get.exit(); code != 0 {
		t.Errorf("get ends with %d: %s", code, get.errors.String())
	}
	for _, e := range get.all(isType("file")) {
		same(t, e.Path, paths[e.ID])
		base := strings.TrimPrefix(e.Path, target+"/")
		t.Logf("%.40q came as %.40q", filepath.Base(paths[e.ID]), base)
		if strings.ContainsAny(base, "/\n\x1b\x07\\\u202e") || strings.HasPrefix(base, ".") || !strings.HasPrefix(e.Path, target+"/") {
			t.Errorf("the name %q is not clean", base)
		}
	}
	if n := len(get.all(isType("file"))); n != strings.Count(links.String(), "\n") {
		t.Errorf("%d files arrived of %d", n, strings.Count(links.String(), "\n"))
	}
	unchanged(t, dir, before)
}

// TestLinksOut seeds a folder with links that lead out of it: none is followed, ever.
func TestLinksOut(t *testing.T) {
	needs(t)
	dir, out := folder(t), folder(t)
	secret := filepath.Join(out, "secret")
	generate(t, secret, 5000, 8)
	generate(t, filepath.Join(dir, "mine"), 5000, 9)
	for name, to := range map[string]string{
		"file": secret, "folder": out, "up": "../" + filepath.Base(out), "chain": "folder/secret", "root": "/", "self": "self", "loop": ".",
		"inside": "mine", "hard/../file2": secret,
	} {
		check(t, os.Symlink(to, filepath.Join(dir, filepath.Base(name))))
	}
	ids, _ := seeding(t, how{}, "127.0.0.1:0", secret) // only to learn its ids
	id := ids.file(secret).SHA256
	ids.kill()
	for _, flag := range []string{"--exclude=nothing", "--follow-links"} {
		seed, addr := seeding(t, how{}, "127.0.0.1:0", dir, flag)
		for _, e := range seed.all(isType("file")) {
			t.Logf("%s: seeded %s", flag, strings.TrimPrefix(e.Path, dir))
			if e.SHA256 == id {
				t.Errorf("%s: %s leads out of the folder and was followed", flag, e.Path)
			}
		}
		absent(t, addr, id)
		seed.kill()
	}
}

// TestUnreadable seeds as somebody who may not read all: what he may not is named, the rest
// is seeded, and the end is exit 6.
func TestUnreadable(t *testing.T) {
	needs(t)
	needsRoot(t)
	const nobody = 65534
	dir, state := folder(t), folder(t)
	check(t, os.Chown(state, nobody, nobody))
	for i, name := range []string{"mine", "theirs", "sub/theirs", "closed/inside"} {
		check(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		generate(t, filepath.Join(dir, name), 5000, uint64(10+i))
	}
	check(t, os.Chmod(filepath.Join(dir, "theirs"), 0o600))
	check(t, os.Chmod(filepath.Join(dir, "sub/theirs"), 0o600))
	check(t, os.Chmod(filepath.Join(dir, "closed"), 0o700))
	seed, addr := seeding(t, how{uid: nobody}, "127.0.0.1:0", dir, "--state-dir", filepath.Join(state, "s"))
	for _, name := range []string{"theirs", "sub/theirs", "closed"} {
		path := filepath.Join(dir, name)
		if len(seed.all(func(e event) bool { return e.Type == "warning" && e.Path == path && e.Code != "" })) != 1 {
			t.Errorf("%s is not named as unreadable", name)
		}
	}
	target := filepath.Join(folder(t), "copy")
	getting(t, how{}, "127.0.0.1:0", addr, seed.file(filepath.Join(dir, "mine")).Link, target).got()
	same(t, target, filepath.Join(dir, "mine"))
	if code := seed.stop(); code != 6 {
		t.Errorf("seed ends with %d, want 6", code)
	}
	if !bytes.Contains(seed.errors.Bytes(), []byte("permission denied")) {
		t.Errorf("people are not told the reason: %s", seed.errors.String())
	}
}

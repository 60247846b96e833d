package identity

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// smallOrder are the eight points of small order and other encodings of some
// ("Taming the many EdDSAs", Chalkias et al. 2020, table of small-order points).
var smallOrder = []string{
	"0100000000000000000000000000000000000000000000000000000000000000", // the identity
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0000000000000000000000000000000000000000000000000000000000000080",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
	"0100000000000000000000000000000000000000000000000000000000000080",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
}

func TestBadKeys(t *testing.T) {
	bad := append([]string{}, smallOrder...)
	bad = append(bad,
		"0200000000000000000000000000000000000000000000000000000000000000", // y = 2 is of no point
		"f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // y = p+3
		strings.Repeat("f", 64))
	for _, digits := range bad {
		k := PublicKey(bytes32(t, digits))
		if _, err := ParsePublicKey(digits); !errors.Is(err, ErrKey) {
			t.Errorf("%s is taken: %v", digits, err)
		}
		if _, err := alice.Seal(k, nil, random(1)); !errors.Is(err, ErrKey) {
			t.Errorf("%s: sealed for, %v", digits, err)
		}
		if _, err := alice.SealFast(k, nil, random(1)); !errors.Is(err, ErrKey) {
			t.Errorf("%s: sealed for, %v", digits, err)
		}
		m := alice.Sign()
		m.Ed25519 = k
		if _, err := Verify(m); !errors.Is(err, ErrKey) {
			t.Errorf("%s: verified, %v", digits, err)
		}
	}
	for _, text := range []string{"", "0x", "ab", alice.Public().String()[1:], alice.Public().String() + "0", "0X" + alice.Public().String(), strings.Repeat("g", 64)} {
		if _, err := ParsePublicKey(text); !errors.Is(err, ErrKey) {
			t.Errorf("%q is taken: %v", text, err)
		}
	}
	for _, text := range []string{alice.Public().String(), "0x" + alice.Public().String(), strings.ToUpper(alice.Public().String())} {
		if k, err := ParsePublicKey(text); err != nil || k != alice.Public() {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestKeyFileIsMadeOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key.json")
	made, what, err := OpenKey(path, random(7))
	if err != nil || !what.Made || what.Tightened {
		t.Fatalf("%+v, %v", what, err)
	}
	info, err := os.Stat(path)
	if err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		k, what, err := OpenKey(path, random(8))
		if err != nil || what != (Opening{}) || k.Public() != made.Public() {
			t.Errorf("%+v, %v", what, err)
		}
	}
	if err := SaveKey(path, bob); !errors.Is(err, ErrKeyExists) {
		t.Errorf("saved over another: %v", err)
	}
	if again, err := os.ReadFile(path); err != nil || !bytes.Equal(text, again) {
		t.Error("the file has changed")
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 {
		t.Errorf("left over: %v, %v", left, err)
	}
}

// D13: whatever became of the file, it stays as it is, and no new identity is made.
func TestKeyFileIsNeverReplaced(t *testing.T) {
	good := filepath.Join(t.TempDir(), "key.json")
	if err := SaveKey(good, alice); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	bad := map[string][]byte{
		"empty": {}, "no object": []byte("[]"), "null": []byte("null"), "other JSON": []byte(`{"key":"x"}`), "zeros": make([]byte, len(text)),
		"long":              bytes.Repeat([]byte(" "), MaxKeyFile+1),
		"another's public":  bytes.Replace(text, []byte(alice.Public().String()), []byte(bob.Public().String()), 1),
		"a digit of either": bytes.Replace(text, []byte(`"private": "01`), []byte(`"private": "02`), 1),
		"more after":        append(bytes.Clone(text), "x"...),
	}
	for n := range bytes.TrimRight(text, "}\n") {
		bad["torn after "+string(rune('0'+n/100))+string(rune('0'+n/10%10))+string(rune('0'+n%10))] = text[:n]
	}
	for name, content := range bad {
		path := filepath.Join(t.TempDir(), "key.json")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		k, what, err := OpenKey(path, random(9))
		if k != nil || what != (Opening{}) || !errors.Is(err, ErrKeyFile) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, %+v, %v", name, k != nil, what, err)
		}
		if err != nil && strings.Contains(err.Error(), "0100000000") {
			t.Errorf("%s: the secret is in the message: %v", name, err)
		}
		if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, content) {
			t.Errorf("%s: the file was changed (%v)", name, err)
		}
	}
	if err := os.Mkdir(filepath.Join(filepath.Dir(good), "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, _, err := OpenKey(filepath.Join(filepath.Dir(good), "folder"), random(9)); !errors.Is(err, ErrKeyFile) {
		t.Errorf("a folder: %v", err)
	}
	if _, _, err := OpenKey(filepath.Join(good+"-", "key.json"), random(9)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
	if _, _, err := OpenKey(filepath.Join(filepath.Dir(good), "new"), bytes.NewReader(make([]byte, 31))); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("without randomness: %v", err)
	}
}

func TestKeyFileModes(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("modes say nothing of others here")
	}
	path := filepath.Join(t.TempDir(), "key.json")
	if err := SaveKey(path, alice); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []os.FileMode{0o644, 0o640, 0o604, 0o666} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		k, what, err := OpenKey(path, random(1))
		if err != nil || !what.Tightened || k.Public() != alice.Public() {
			t.Errorf("%v: %+v, %v", mode, what, err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v: %v, %v", mode, info.Mode(), err)
		}
	}
	link := path + ".link"
	if err := os.Symlink(path+".gone", link); err != nil {
		t.Fatal(err)
	}
	if _, _, err := OpenKey(link, random(1)); !errors.Is(err, ErrKeyFile) {
		t.Errorf("a link that leads nowhere: %v", err)
	}
}

// Many that start at once have one identity.
func TestKeyFileRace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key.json")
	var wg sync.WaitGroup
	keys, made := make([]PublicKey, 16), make([]bool, 16)
	for i := range keys {
		wg.Go(func() {
			k, what, err := OpenKey(path, random(byte(i)))
			if err != nil {
				t.Error(err)
				return
			}
			keys[i], made[i] = k.Public(), what.Made
		})
	}
	wg.Wait()
	n := 0
	for i := range keys {
		if keys[i] != keys[0] {
			t.Error("two identities")
		}
		if made[i] {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d were made", n)
	}
}

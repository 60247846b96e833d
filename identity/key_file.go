package identity

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"sharer/internal/atomicfile"
)

// MaxKeyFile bounds what is read of a key file, in bytes; a good one has about 170.
const MaxKeyFile = 4096

var (
	// ErrKeyFile is wrapped by the errors about a file that is there and holds no key.
	ErrKeyFile = errors.New("the key file is damaged and is not replaced: restore it from a copy, or move it away to begin as somebody new")
	// ErrKeyExists is wrapped by SaveKey's error when the file is there.
	ErrKeyExists = errors.New("there is a key file already")
)

// Opening is what OpenKey did besides reading.
type Opening struct {
	Made      bool // there was no file; now there is one, with a new key
	Tightened bool // others could read the file; now its mode is 0600
}

// keyFile is the file, of the same form as the best-known node's, so that an identity can move.
type keyFile struct {
	Public  string `json:"public"`  // 64 hex digits
	Private string `json:"private"` // the seed, 64 hex digits
}

// OpenKey reads the key at path. Only where there is no file at all it makes a key and
// saves it. A file that is there is never written to.
func OpenKey(path string, random io.Reader) (*Key, Opening, error) {
	k, tightened, err := loadKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return k, Opening{Tightened: tightened}, err
	}
	if k, err = NewKey(random); err != nil {
		return nil, Opening{}, err
	}
	err = SaveKey(path, k)
	if errors.Is(err, ErrKeyExists) { // another process was quicker: its key is the one
		k, tightened, err = loadKey(path)
		return k, Opening{Tightened: tightened}, err
	}
	if err != nil {
		return nil, Opening{}, err
	}
	return k, Opening{Made: true}, nil
}

// LoadKey reads the key at path; without a file the error wraps fs.ErrNotExist.
func LoadKey(path string) (*Key, error) {
	k, _, err := loadKey(path)
	return k, err
}

// loadKey reads a key, and sees to it that only its owner can.
func loadKey(path string) (k *Key, tightened bool, err error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		// A link that leads nowhere is something, and its target may come back.
		if _, e := os.Lstat(path); e == nil {
			return nil, false, fmt.Errorf("%s: %w: a link that leads nowhere", path, ErrKeyFile)
		}
	}
	if err != nil {
		return nil, false, err
	}
	if !info.Mode().IsRegular() {
		return nil, false, fmt.Errorf("%s: %w: no regular file", path, ErrKeyFile)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, MaxKeyFile+1))
	if err != nil {
		return nil, false, err
	}
	if k, err = ParseKey(text); err != nil {
		return nil, false, fmt.Errorf("%s: %w", path, err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 { // there modes say nothing of others
		if err := f.Chmod(0o600); err != nil {
			return nil, false, fmt.Errorf("others can read the key: %w", err)
		}
		tightened = true
	}
	return k, tightened, nil
}

// ParseKey reads the text of a key file. It needs both keys, and that they belong together: a flipped bit would be a
// new identity. The error wraps ErrKeyFile.
func ParseKey(text []byte) (*Key, error) {
	if len(text) > MaxKeyFile {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrKeyFile, MaxKeyFile)
	}
	if len(text) == 0 {
		return nil, fmt.Errorf("%w: it is empty", ErrKeyFile)
	}
	var f keyFile
	if err := json.Unmarshal(text, &f); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeyFile, err)
	}
	seed, err := hex.DecodeString(f.Private)
	if err != nil || len(seed) != 32 {
		return nil, fmt.Errorf("%w: private is not 64 hex digits", ErrKeyFile) // and the digits stay out of messages
	}
	k, err := KeyFromSeed([32]byte(seed))
	if err != nil {
		return nil, err
	}
	public, err := ParsePublicKey(f.Public)
	if err != nil {
		return nil, fmt.Errorf("%w: public: %w", ErrKeyFile, err)
	}
	if public != k.public {
		return nil, fmt.Errorf("%w: public and private do not belong together", ErrKeyFile)
	}
	return k, nil
}

// Text is the text of a key file.
func (k *Key) Text() []byte {
	seed := k.Seed()
	return fmt.Appendf(nil, "{\n  \"public\": %q,\n  \"private\": %q\n}\n", k.public.String(), hex.EncodeToString(seed[:]))
}

// SaveKey writes a key to a file that must not be there yet (ErrKeyExists). After a crash
// the whole file is there or none; what may be left is a file beside it with a key that
// nobody has used.
func SaveKey(path string, k *Key) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // of mode 0600
	if err != nil {
		return fmt.Errorf("save key: %w", err)
	}
	defer func() {
		if e := os.Remove(f.Name()); e != nil && !errors.Is(e, fs.ErrNotExist) && err == nil {
			err = fmt.Errorf("save key: %w", e)
		}
	}()
	_, err = f.Write(k.Text())
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = place(f.Name(), path)
	}
	if err == nil {
		err = atomicfile.SyncFolder(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("save key: %w", err)
	}
	return nil
}

// place gives a file its name, which must be free.
func place(temp, path string) error {
	err := os.Link(temp, path)
	if err == nil {
		return nil
	}
	if _, e := os.Lstat(path); e == nil {
		return fmt.Errorf("%s: %w", path, ErrKeyExists)
	} else if !errors.Is(e, fs.ErrNotExist) {
		return e
	}
	return os.Rename(temp, path) // a file system without links; the state folder has one owner
}

package chunk

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// slotOf is a slot whose checksum is right, whatever it says.
func slotOf(body []byte) []byte {
	body = body[:min(len(body), slotSize-66)]
	sum := RootOfBlock(body)
	slot := append(hex.AppendEncode(nil, sum[:]), '\n')
	slot = append(append(slot, body...), '\n')
	return append(slot, make([]byte, slotSize-len(slot))...)
}

func TestParseSlot(t *testing.T) {
	id := "blake3/" + strings.ToLower(hexA)
	good := fmt.Sprintf(`{"version":1,"seq":7,"id":%q,"size":100000,"clean":{"done":[[0,5],[6,25]],"stamp":{}}}`, id)
	if h, ok := parseSlot(slotOf([]byte(good))); !ok || h.Seq != 7 || h.Size != 100000 || len(h.Clean.Done) != 2 {
		t.Fatalf("%+v, %v", h, ok)
	}
	for _, change := range [][2]string{
		{"100000", "-2"}, {"100000", "1e30"}, {"100000", "1125899906842625"}, {"100000", "9223372036854775807"}, {id, "../../x"}, {`"id"`, `"di"`},
		{"[6,25]", "[6,26]"}, {"[6,25]", "[5,25]"}, {"[6,25]", "[4,25]"}, {"[6,25]", "[25,6]"}, {"[6,25]", "[-1,9]"}, {"0,5", "-1,5"}, {"}}}", "}}"},
	} {
		bad := strings.Replace(good, change[0], change[1], 1)
		if h, ok := parseSlot(slotOf([]byte(bad))); ok || bad == good {
			t.Errorf("%s is read as %+v", bad, h)
		}
	}
	slot := slotOf([]byte(good))
	for i := range bytes.TrimRight(slot, "\x00") {
		slot[i] ^= 1
		if _, ok := parseSlot(slot); ok {
			t.Errorf("a bit at %d is not seen", i)
		}
		slot[i] ^= 1
	}
	if _, ok := parseSlot(nil); ok {
		t.Error("nothing is a header")
	}
}

// TestSidecarSlots writes the slots in turn: the one before the newest is still there, when the newest is torn.
func TestSidecarSlots(t *testing.T) {
	var m memory
	f, err := osFS{}.Open(filepath.Join(t.TempDir(), "x"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := sidecar{f: f, head: header{ID: strings.ToLower(hexA)}}
	for size := range int64(6) {
		s.head.Size, s.dirty = size, true
		if err := s.flush(); err != nil {
			t.Fatal(err)
		}
		whole := make([]byte, sidecarBase)
		if n, err := f.ReadAt(whole, 0); n < slotSize {
			t.Fatal(err)
		}
		for slot, want := range map[int]int64{int(s.head.Seq+1) & 1: size, int(s.head.Seq) & 1: size - 1} {
			m.b = bytes.Clone(whole)
			m.b[slot*slotSize+70] ^= 1
			if h, err := readHeader(&m); want >= 0 && (err != nil || h.Size != want) || want < 0 && err != errNoHeader {
				t.Errorf("slot %d broken after %d writes: %+v, %v, want size %d", slot, size+1, h, err, want)
			}
		}
	}
}

// TestSidecarVersion leaves the sidecar of a later version alone.
func TestSidecarVersion(t *testing.T) {
	w := newWork(t, 70, 100)
	target := filepath.Join(t.TempDir(), "x")
	side := slotOf([]byte(`{"version":2,"more":"things"}`))
	writeFile(t, target+".part.sharer", side)
	_, err := OpenPartial(target, w.id(BLAKE3), PartialOptions{})
	if err == nil || !strings.Contains(err.Error(), "version 2") {
		t.Errorf("%v", err)
	}
	if got, err := os.ReadFile(target + ".part.sharer"); err != nil || !bytes.Equal(got, side) || exists(target+".part") {
		t.Errorf("it was changed: %v", err)
	}
}

// FuzzSidecar opens any sidecar with any file: never a panic, never a block that is held and wrong, and the download still works.
func FuzzSidecar(f *testing.F) {
	works := []*work{newWork(f, 71, 40*4096+1), newWork(f, 72, 3000)}
	for _, w := range works {
		for _, k := range kinds {
			body := fmt.Sprintf(`{"version":1,"seq":3,"id":%q,"size":%d,"clean":{"done":[[0,1]],"stamp":{"Size":1}}}`, w.id(k), w.size())
			f.Add([]byte(body), []byte("{}"), w.tree, w.data[:3000])
			f.Add([]byte(body), []byte(strings.Replace(body, "3", "4", 1)), []byte{}, []byte{})
			huge := fmt.Sprintf(`{"version":1,"seq":3,"id":%q,"size":%d,"proven":true}`, w.id(k), MaxSize)
			f.Add([]byte(huge), []byte{}, w.tree, w.data[:3000])
		}
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, a, b, rest, part []byte) {
		target := filepath.Join(dir, fmt.Sprint(os.Getpid()))
		for _, w := range works {
			for _, k := range kinds {
				writeFile(t, target+".part.sharer", append(append(slotOf(a), slotOf(b)...), rest...))
				writeFile(t, target+".part", part)
				p, err := OpenPartial(target, w.id(k), PartialOptions{})
				if err != nil {
					continue
				}
				size, _ := p.Size()
				for _, r := range p.Done().All() {
					if k == BLAKE3 && !bytes.Equal(w.blocks(r.From, r.To), part[r.From*BlockSize:min(r.To*BlockSize, size)]) {
						t.Fatalf("blocks %v are held, and wrong", r)
					}
				}
				if k == BLAKE3 && p.Complete() && (size != w.size() || !bytes.HasPrefix(part, w.data)) {
					t.Fatal("complete, and wrong")
				}
				if err := p.SetSize(w.size()); err == nil {
					if err := fill(p, w); err != nil {
						t.Fatal(err)
					}
					if _, err := p.Check(ctx, nil); err != nil && k == BLAKE3 {
						t.Fatal(err)
					}
				}
				if err := p.Remove(); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

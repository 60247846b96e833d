package mirror

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"sharer/chunk"
	"sharer/folder"
)

// file has a content that its number makes.
func file(path string, content int, size int64) folder.File {
	return folder.File{Path: path, Size: size, BLAKE3: chunk.Hash{byte(content), byte(content >> 8), byte(content >> 16), 7}, Mtime: int64(content)}
}

func numbered(n int) (files []folder.File) {
	for i := range n {
		files = append(files, file(fmt.Sprintf("f%05d", i), i, 100))
	}
	return files
}

func all(folder.File) bool       { return true }
func nothing(chunk.Hash) bool    { return false }
func wide() Disk                 { return Disk{Free: 1 << 40, Total: 1 << 40, Inodes: -1} }
func plain(r func(*Rules)) Rules { d := DefaultRules(); d.MinFree = Portion{}; r(&d); return d }

func TestPlan(t *testing.T) {
	ten := numbered(10)
	full := func(change func(*Situation)) Situation {
		s := Situation{Rules: plain(func(*Rules) {}), Old: list(ten), New: list(ten), OldHas: all, Has: nothing, Disk: wide(), Links: true}
		change(&s)
		return s
	}
	cases := []struct {
		name   string
		change func(*Situation)
		held   Reason
		check  func(Plan) bool
	}{
		{"the same", func(s *Situation) {}, "", func(p Plan) bool { return p.Same && p.Carried == 10 && p.Adds+p.Changes+p.Deletes == 0 }},
		{"a first one", func(s *Situation) { s.Old = None }, "", func(p Plan) bool { return p.Adds == 10 && p.Fetch == 10 && p.FetchBytes == 1000 && !p.Same }},
		{"one goes", func(s *Situation) { s.New = list(ten[1:]) }, "", func(p Plan) bool { return p.Deletes == 1 && p.Had == 10 }},
		{"two go", func(s *Situation) { s.New = list(ten[2:]) }, HeldDelete, func(p Plan) bool { return p.Deletes == 2 }},
		{"two go, approved", func(s *Situation) { s.New, s.Allowed = list(ten[2:]), true }, "", func(p Plan) bool { return p.Deletes == 2 }},
		{"all go", func(s *Situation) { s.New = None }, HeldDelete, func(p Plan) bool { return p.Deletes == 10 }},
		{"two are emptied", func(s *Situation) {
			n := slices.Clone(ten)
			n[0].Size, n[1].Size = 0, 0
			s.New = list(n)
		}, HeldDelete, func(p Plan) bool { return p.Deletes == 2 }},
		{"two go that are not meant", func(s *Situation) {
			s.New = list(ten[2:])
			s.Rules.Exclude = []string{"f00000", "f00001"}
		}, "", func(p Plan) bool { return p.Deletes == 0 && p.Carried == 8 }},
		{"max-delete 0", func(s *Situation) { s.New, s.Rules.MaxDelete = list(ten[1:]), Portion{} }, HeldDelete, nil},
		{"quota for new, not for both", func(s *Situation) {
			s.New = list([]folder.File{file("f00000", 20, 600), ten[1], ten[2], ten[3], ten[4], ten[5], ten[6], ten[7], ten[8], ten[9]})
			s.Rules.Quota = 1500
		}, HeldQuota, func(p Plan) bool { return p.Size == 1500 }},
		{"quota", func(s *Situation) { s.Rules.Quota = 999 }, HeldQuota, nil},
		{"quota that fits", func(s *Situation) { s.Rules.Quota = 1000 }, "", nil},
		{"newest", func(s *Situation) { s.Rules.Quota, s.Rules.OnFull = 350, FullNewest }, "", func(p Plan) bool { return p.Carried == 3 && p.Has(9) && p.Has(7) && !p.Has(6) }},
		{"pinned first", func(s *Situation) {
			s.Rules.Quota, s.Rules.OnFull = 350, FullPinned
			s.Pinned = func(h chunk.Hash) bool { return h == ten[5].BLAKE3 }
		}, "", func(p Plan) bool { return p.Carried == 3 && p.Has(5) && p.Has(0) && p.Has(1) }},
		{"no room", func(s *Situation) { s.Disk = Disk{Free: 999, Total: 10000, Inodes: -1} }, HeldDisk, nil},
		{"room, but for what stays free", func(s *Situation) {
			s.Disk, s.Rules.MinFree = Disk{Free: 1400, Total: 10000, Inodes: -1}, Portion{Percent: 5}
		}, HeldDisk, nil},
		{"nothing to fetch on a full disk", func(s *Situation) { s.Disk, s.Has = Disk{Inodes: -1}, func(chunk.Hash) bool { return true } }, "", nil},
		{"copies need room too", func(s *Situation) { s.Disk, s.Links = Disk{Free: 1500, Total: 1500, Inodes: -1}, false }, HeldDisk, nil},
		{"no inodes", func(s *Situation) { s.Disk.Inodes = 19 }, HeldInodes, nil},
		{"too long", func(s *Situation) { s.Rules.MaxFile = 99 }, "", func(p Plan) bool { return p.Carried == 0 && p.Fetch == 0 }},
		{"one content twice", func(s *Situation) {
			s.New = list([]folder.File{file("a", 1, 100), file("b", 1, 100)})
			s.Old = None
		}, "", func(p Plan) bool { return p.Size == 100 && p.Fetch == 1 && p.Carried == 2 }},
		{"denied", func(s *Situation) { s.Denied = func(f folder.File) bool { return f.Path == "f00003" } }, "", func(p Plan) bool { return p.Denied == 1 && p.Carried == 9 && !p.Same && p.Deletes == 0 }},
	}
	for _, c := range cases {
		p, err := Make(full(c.change))
		if err != nil || p.Held != c.held || c.check != nil && !c.check(*p) {
			t.Errorf("%s: %v %v, want held by %q", c.name, p, err, c.held)
		}
	}
}

// TestPlanModel compares the walk over both versions with what maps say.
func TestPlanModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) map[string]folder.File {
			m := map[string]folder.File{}
			for path, content := range rapid.MapOf(rapid.StringMatching(`[a-c]{1,3}`), rapid.IntRange(1, 5)).Draw(t, name) {
				m[path] = file(path, content, int64(content))
			}
			return m
		}
		sorted := func(m map[string]folder.File) (files []folder.File) {
			for _, f := range m {
				files = append(files, f)
			}
			slices.SortFunc(files, func(a, b folder.File) int { return cmpStrings(a.Path, b.Path) })
			return files
		}
		was, is := draw("old"), draw("new")
		there := rapid.SliceOf(rapid.IntRange(1, 5)).Draw(t, "there")
		has := func(h chunk.Hash) bool { return slices.Contains(there, int(h[0])) }
		p, err := Make(Situation{Rules: plain(func(r *Rules) { r.MaxDelete = Portion{Percent: 100} }), Old: list(sorted(was)), New: list(sorted(is)), OldHas: all, Has: has, Disk: wide(), Links: true})
		if err != nil {
			t.Fatal(err)
		}
		var adds, changes, deletes int
		var fetch int64
		fetched := map[chunk.Hash]bool{}
		for path, f := range is {
			old, ok := was[path]
			switch {
			case !ok:
				adds++
			case old.BLAKE3 != f.BLAKE3:
				changes++
			}
			if !has(f.BLAKE3) && !fetched[f.BLAKE3] {
				fetched[f.BLAKE3] = true
				fetch += f.Size
			}
		}
		for path := range was {
			if _, ok := is[path]; !ok {
				deletes++
			}
		}
		if p.Adds != adds || p.Changes != changes || p.Deletes != deletes || p.FetchBytes != fetch || p.Fetch != len(fetched) || p.Same != (adds+changes+deletes == 0) {
			t.Fatalf("%v: want %d added, %d changed, %d deleted, %d bytes", p, adds, changes, deletes, fetch)
		}
	})
}

func cmpStrings(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// TestRules: rules that make no sense are refused, and portions read back.
func TestRules(t *testing.T) {
	if err := DefaultRules().Check(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*Rules){
		"share of a number": func(r *Rules) { r.Share = Portion{Count: 3} }, "share and copies": func(r *Rules) { r.Share, r.Copies = Portion{Percent: 30}, 3 },
		"no version": func(r *Rules) { r.Keep = 0 }, "every moment": func(r *Rules) { r.Every = 0 }, "a word": func(r *Rules) { r.OnFull = "panic" },
		"a pattern": func(r *Rules) { r.Include = []string{"["} }, "quota": func(r *Rules) { r.Quota = -1 },
	} {
		if plain(change).Check() == nil {
			t.Errorf("%s is taken", name)
		}
	}
	for _, p := range []Portion{{Percent: 10}, {Count: 7}, {}} {
		data, err := p.MarshalJSON()
		var back Portion
		if err == nil {
			err = back.UnmarshalJSON(data)
		}
		if err != nil || back != p {
			t.Errorf("%v becomes %v, %v", p, back, err)
		}
	}
	if n := (Portion{Percent: 10}).Of(3); n != 1 {
		t.Errorf("a tenth of three is %d, want 1", n)
	}
}

//go:build linux

package interop

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// block100000 asks for a block of the content of which the vectors are made.
func block100000(id string, number int) string {
	return fmt.Sprintf(`{"PleaseSendContent":{"id":"%s","offset":%d,"length":4096}}`, id, number*block)
}

// TestQuirks sees whether the Rust node still does what the behaviours of sim do in its place. With SHARER_INTEROP_RECORD
// it writes what was said to that file, as in testdata/vectors/habits.jsonl.
func TestQuirks(t *testing.T) {
	needs(t)
	const row = "Rust's habits are those of sim"
	here, there := newPlace(t), newPlace(t)
	ours, its := wire(here, there, "10.88.1")
	addr := its + ":" + rustPort
	r, absent := there.rust()
	if absent != nil {
		cell(t, row, "all", func(*testing.T) (string, error) { return "", absent })
		return
	}
	data := make([]byte, 100_000)
	for i := range data {
		data[i] = byte(i % 251)
	}
	path := filepath.Join(folder(t), "content")
	check(t, os.WriteFile(path, data, 0o600))
	known, err := r.share(path)
	check(t, err)
	id := known.of("blake3")
	c := here.client(ours, 0)
	proof, err := c.proof(addr)
	check(t, err)

	var record []map[string]any
	// ask sends elements and returns all that answers them.
	ask := func(t *testing.T, what string, proven bool, elements string, answer string) ([]message, int, error) {
		text := "[" + elements + "]"
		if proven {
			text = "[" + elements + "," + proof + "]"
		} else { // the shorter the question, the oftener the answer is cut by chance
			text += strings.Repeat(" ", 400)
		}
		ms, size, err := c.ask(addr, text, has(answer))
		var said any
		if err == nil {
			whole, err := json.Marshal(ms)
			check(t, err)
			said = string(whole)
		}
		record = append(record, map[string]any{
			"what": what, "verified": proven, "request": strings.TrimSpace(strings.Replace(text, proof, `{"AlwaysReturned":{"cookie":"5afa97d4"}}`, 1)), "reply": said,
		})
		return ms, size, err
	}
	length := func(ms []message) int {
		var p struct{ Base64 string }
		check(t, json.Unmarshal(payload(ms, "Content"), &p))
		return base64.StdEncoding.DecodedLen(len(p.Base64)) - strings.Count(p.Base64, "=")
	}
	count := func(ms []message, name string) (n int) {
		for _, m := range ms {
			if _, ok := m[name]; ok {
				n++
			}
		}
		return n
	}
	silent := func(err error) bool { return err != nil && strings.Contains(err.Error(), "does not answer") }

	cell(t, row, "32 bytes to the unproven", func(t *testing.T) (string, error) {
		for range 5 { // one in 27 is ignored
			ms, _, err := ask(t, "a block, unverified: 32 bytes", false, block100000(id, 1), "Content")
			if silent(err) {
				record = record[:len(record)-1]
				continue
			}
			if err == nil && length(ms) != 32 {
				err = fmt.Errorf("%d bytes", length(ms))
			}
			return "", err
		}
		return "", fmt.Errorf("no answer")
	})
	cell(t, row, "one request in 27 of the unproven is ignored", func(t *testing.T) (string, error) {
		const asked = 540
		ignored := 0
		for range asked {
			ms, _, err := c.ask(addr, "["+block100000(id, 1)+"]"+strings.Repeat(" ", 400), has("PleaseAlwaysReturnThisMessage"))
			if err != nil {
				return "", err
			}
			if count(ms, "Content") == 0 {
				ignored++
			}
		}
		note := fmt.Sprintf("%d of %d", ignored, asked)
		if ignored < asked/27/3 || ignored > asked/27*3 {
			return "", fmt.Errorf("%s", note)
		}
		return note, nil
	})
	several := func(n int) string {
		var all []string
		for i := range n {
			all = append(all, block100000(id, i))
		}
		return strings.Join(all, ",")
	}
	cell(t, row, "eleven blocks in one datagram", func(t *testing.T) (string, error) {
		ms, size, err := ask(t, "eleven blocks at once", true, several(11), "Content")
		if err == nil && count(ms, "Content") != 11 {
			err = fmt.Errorf("%d blocks", count(ms, "Content"))
		}
		return fmt.Sprintf("%d bytes", size), err
	})
	cell(t, row, "twelve blocks are too much for a datagram: no answer", func(t *testing.T) (string, error) {
		ms, _, err := ask(t, "twelve blocks at once: silence", true, several(12), "Content")
		if !silent(err) {
			return "", fmt.Errorf("%d blocks, %v", count(ms, "Content"), err)
		}
		return "", nil
	})
	cell(t, row, "MaybeTheyHaveSome for what it has not, once another has asked for it", func(t *testing.T) (string, error) {
		other := here.with(t).client(ours, 0)
		proof, err := other.proof(addr)
		if err != nil {
			return "", err
		}
		nothing := block100000(strings.Repeat("0", 64), 0)
		if _, err := other.conn.WriteToUDPAddrPort([]byte("["+nothing+","+proof+"]"), addrPort(t, addr)); err != nil {
			return "", err
		}
		_, _, err = ask(t, "an unknown id that another has asked for: where it may be", true, nothing, "MaybeTheyHaveSome")
		return "", err
	})
	cell(t, row, "addresses with zones and of loopback among its Peers", func(*testing.T) (string, error) {
		r.say("/get %s", strings.Repeat("1", 64)) // whatever it fetches, it asks itself too
		zones, loopback := false, false
		if !until(patience, func() bool {
			ms, _, err := c.ask(addr, `[{"PleaseSendPeers":{}},`+proof+`]`, has("Peers"))
			list := string(payload(ms, "Peers"))
			zones = zones || strings.Contains(list, "%")
			loopback = loopback || strings.Contains(list, `"127.0.0.1:`)
			return err == nil && zones && loopback
		}) {
			return "", fmt.Errorf("zones: %v, loopback: %v", zones, loopback)
		}
		_, _, err := ask(t, "peers: with zones and of loopback", true, `{"PleaseSendPeers":{}}`, "Peers")
		return "", err
	})
	if to := os.Getenv("SHARER_INTEROP_RECORD"); to != "" {
		f, err := os.Create(to)
		check(t, err)
		defer f.Close()
		e := json.NewEncoder(f)
		e.SetEscapeHTML(false)
		for _, x := range record {
			check(t, e.Encode(x))
		}
	}
}

package udp

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"testing"

	"sharer/wire"
)

func TestRunLength(t *testing.T) {
	a, b := netip.MustParseAddrPort("127.0.0.1:1"), netip.MustParseAddrPort("127.0.0.1:2")
	ds := func(to netip.AddrPort, sizes ...int) (out []wire.Datagram) {
		for _, n := range sizes {
			out = append(out, wire.Datagram{Addr: to, Data: make([]byte, n)})
		}
		return out
	}
	many := make([]int, 100)
	for i := range many {
		many[i] = 9
	}
	other := ds(a, 9, 9)
	other[1].Via = 2
	for _, tc := range []struct {
		name string
		ds   []wire.Datagram
		want int
	}{
		{"one", ds(a, 9), 1},
		{"equal", ds(a, 9, 9, 9), 3},
		{"a shorter one ends it", ds(a, 9, 9, 8, 8), 3},
		{"a longer one does not belong", ds(a, 9, 10, 10), 1},
		{"another destination", append(ds(a, 9, 9), ds(b, 9)...), 2},
		{"another socket", other, 1},
		{"empty", ds(a, 0, 0), 1},
		{"an empty one behind", ds(a, 9, 0), 1},
		{"bytes", ds(a, 5600, 5600, 5600, 5600, 5600, 5600, 5600, 5600, 5600, 5600, 5600, 5600), 11},
		{"too long for two", ds(a, 40000, 40000), 1},
		{"segments", ds(a, many...), maxSegments},
	} {
		if got := runLength(tc.ds); got != tc.want {
			t.Errorf("%s: %d, want %d", tc.name, got, tc.want)
		}
	}
}

func TestCut(t *testing.T) {
	for _, tc := range []struct {
		data    string
		segment int
		want    []string
	}{
		{"", 0, []string{""}}, {"abcde", 0, []string{"abcde"}}, {"abcde", 9, []string{"abcde"}},
		{"abcde", 2, []string{"ab", "cd", "e"}}, {"abcd", 2, []string{"ab", "cd"}}, {"", 2, []string{""}},
	} {
		got := cut(nil, wire.Datagram{Via: 3, Data: []byte(tc.data)}, tc.segment)
		if len(got) != len(tc.want) {
			t.Fatalf("%q by %d: %d datagrams, want %d", tc.data, tc.segment, len(got), len(tc.want))
		}
		for i, d := range got {
			if string(d.Data) != tc.want[i] || d.Via != 3 || cap(d.Data) != len(d.Data) {
				t.Errorf("%q by %d: %d is %q, want %q", tc.data, tc.segment, i, d.Data, tc.want[i])
			}
		}
	}
}

// collect reads want datagrams of one sender; each is a copy.
func collect(t *testing.T, c *Conn, want int) (got [][]byte) {
	t.Helper()
	for r := c.Readers()[0]; len(got) < want; {
		ds, err := r.ReadBatch()
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range ds {
			got = append(got, bytes.Clone(d.Data))
		}
	}
	return got
}

// Whatever a batch holds, each destination gets its datagrams whole and in order, with offload on either side or not.
func TestBatchesArriveAsSent(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, how := range []struct {
		name     string
		from, to Options
	}{{"both", Options{}, Options{}}, {"sender", Options{}, Options{Single: true}}, {"receiver", Options{Single: true}, Options{}}, {"none", Options{Single: true}, Options{Single: true}}} {
		for _, addr := range []string{"127.0.0.1:0", ":0", "[::1]:0"} {
			t.Run(how.name+" "+addr, func(t *testing.T) {
				a := openWith(t, how.from, addr)
				peers := [2]*Conn{openWith(t, how.to, addr), openWith(t, how.to, addr)}
				for range 20 {
					var batch []wire.Datagram
					var want [2][][]byte
					size, to := 1, 0
					for range 1 + rng.IntN(64) {
						if rng.IntN(4) == 0 {
							size = []int{1, 100, 1400, 5600}[rng.IntN(4)]
							to = rng.IntN(2)
						}
						data := bytes.Repeat([]byte{byte(rng.Uint32())}, size-rng.IntN(2))
						dest := peers[to].LocalAddrs()[0]
						if dest.Addr().IsUnspecified() {
							dest = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), dest.Port())
						}
						batch = append(batch, wire.Datagram{Addr: dest, Data: data})
						want[to] = append(want[to], data)
					}
					if n, err := a.WriteBatch(batch); n != len(batch) || err != nil {
						t.Fatalf("sent %d of %d: %v", n, len(batch), err)
					}
					for i, w := range want {
						for j, data := range collect(t, peers[i], len(w)) {
							if !bytes.Equal(data, w[j]) {
								t.Fatalf("datagram %d: got %d bytes, want %d", j, len(data), len(w[j]))
							}
						}
					}
				}
			})
		}
	}
}

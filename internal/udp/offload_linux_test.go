//go:build !purego && !nooffload

package udp

import (
	"errors"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"sharer/wire"
)

// refusing lets c send segments by a device that gives these errors in turn, and then takes all. It returns the sizes
// of what was given to it.
func refusing(t *testing.T, c *Conn, errs ...unix.Errno) *[]int {
	t.Helper()
	f := &c.socks[0].offload
	if !f.gso.Load() {
		t.Skip("skipped: this kernel has no UDP_SEGMENT")
	}
	tried := new([]int)
	send := f.segment
	f.segment = func(ds []wire.Datagram) unix.Errno {
		*tried = append(*tried, len(ds[0].Data))
		if len(errs) > 0 {
			err := errs[0]
			errs = errs[1:]
			return err
		}
		return send(ds)
	}
	return tried
}

func pairOf(to netip.AddrPort, size int) []wire.Datagram {
	return []wire.Datagram{{Addr: to, Data: make([]byte, size)}, {Addr: to, Data: make([]byte, size)}}
}

func TestFallsBack(t *testing.T) {
	for _, tc := range []struct {
		name  string
		errs  []unix.Errno
		sizes []int
		want  []int // sizes that were tried as segments
	}{
		{"never", nil, []int{5600, 1400, 5600}, []int{5600, 1400, 5600}},
		{"device, for good", []unix.Errno{unix.EIO}, []int{5600, 1400, 5600}, []int{5600}},
		{"MTU, this size and above", []unix.Errno{unix.EMSGSIZE}, []int{1500, 5600, 1500, 1400}, []int{1500, 1400}},
		{"MTU, older kernels", []unix.Errno{unix.EINVAL, unix.EINVAL}, []int{5600, 1500, 1500, 1400}, []int{5600, 1500, 1400}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a, b := open(t, "127.0.0.1:0"), open(t, "127.0.0.1:0")
			tried := refusing(t, a, tc.errs...)
			for _, size := range tc.sizes {
				if n, err := a.WriteBatch(pairOf(b.LocalAddrs()[0], size)); n != 2 || err != nil {
					t.Fatalf("sent %d of 2: %v", n, err)
				}
				for _, d := range collect(t, b, 2) {
					if len(d) != size {
						t.Fatalf("%d bytes arrived, want %d", len(d), size)
					}
				}
			}
			if len(*tried) != len(tc.want) {
				t.Fatalf("tried %v, want %v", *tried, tc.want)
			}
			for i, size := range tc.want {
				if (*tried)[i] != size {
					t.Fatalf("tried %v, want %v", *tried, tc.want)
				}
			}
		})
	}
}

// Another destination is not held to what one refused, and what is remembered stays small.
func TestNarrowIsPerDestination(t *testing.T) {
	var f offload
	one, other := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	f.note(one, 5600)
	f.note(one, 9000)
	if !f.tooWide(one, 5600) || f.tooWide(one, 5599) || f.tooWide(other, 9000) {
		t.Error("5600 bytes were refused by one, and that is not what is remembered")
	}
	for ip := other; len(*f.narrow.Load()) > 1 || ip == other; ip = ip.Next() {
		if f.note(ip, 1); len(*f.narrow.Load()) > maxNarrow {
			t.Fatal("more destinations are remembered than the bound allows")
		}
	}
}

// Other errors are the caller's, with nothing sent.
func TestSegmentsRefused(t *testing.T) {
	a, b := open(t, "127.0.0.1:0"), open(t, "127.0.0.1:0")
	refusing(t, a, unix.ENOBUFS)
	if n, err := a.WriteBatch(pairOf(b.LocalAddrs()[0], 9)); n != 0 || !errors.Is(err, unix.ENOBUFS) {
		t.Errorf("%d sent, %v", n, err)
	}
}

func TestSegmentsDoNotAllocate(t *testing.T) {
	a, b := open(t, "127.0.0.1:0"), open(t, "127.0.0.1:0")
	r, ds := b.Readers()[0], pairOf(b.LocalAddrs()[0], 5600)
	if n := testing.AllocsPerRun(100, func() {
		if _, err := a.WriteBatch(ds); err != nil {
			t.Fatal(err)
		}
		for left := len(ds); left > 0; {
			got, err := r.ReadBatch()
			if err != nil {
				t.Fatal(err)
			}
			left -= len(got)
		}
	}); n >= 1 { // a pool may be emptied
		t.Errorf("%v allocations for two datagrams there", n)
	}
}

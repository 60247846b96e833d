package udp

import "sharer/wire"

// What one call may carry (udp(7), UDP_SEGMENT): UDP_MAX_SEGMENTS of kernels before 6.9, and less than
// a datagram of 64 KiB with any headers.
const (
	maxSegments  = 64
	maxSegmented = 65_000
)

// runLength counts the datagrams at the head of ds, at least one, that can leave as segments of one: to one
// destination by one socket, of one size, but for the last, which may be shorter.
func runLength(ds []wire.Datagram) int {
	first := &ds[0]
	size := len(first.Data)
	if size == 0 {
		return 1
	}
	n := 1
	for bytes := size; n < min(len(ds), maxSegments); {
		d := &ds[n]
		m := len(d.Data)
		if bytes += m; m == 0 || m > size || bytes > maxSegmented || d.Addr != first.Addr || d.Via != first.Via {
			break
		}
		n++
		if m < size {
			break
		}
	}
	return n
}

// cut appends to dst what was received from one sender in one go: datagrams of size bytes, but for the last, which
// may be shorter. Size 0: it is one.
func cut(dst []wire.Datagram, d wire.Datagram, size int) []wire.Datagram {
	data := d.Data
	for size > 0 && len(data) > size {
		d.Data = data[:size:size]
		dst = append(dst, d)
		data = data[size:]
	}
	d.Data = data[:len(data):len(data)]
	return append(dst, d)
}

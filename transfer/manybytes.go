package transfer

import "sync"

// Memory for contents, by size.
var bytePools [7]sync.Pool

var byteSizes = [len(bytePools)]int{4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10, 128 << 10, MaxSmall}

func takeBytes(n int) []byte {
	k := 0
	for byteSizes[k] < n {
		k++
	}
	if p, ok := bytePools[k].Get().(*[]byte); ok {
		return (*p)[:n]
	}
	return make([]byte, n, byteSizes[k])
}

func giveBytes(b []byte) {
	for k, size := range byteSizes {
		if cap(b) == size {
			bytePools[k].Put(&b)
		}
	}
}

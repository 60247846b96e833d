package chunk

import (
	"runtime"

	"lukechampine.com/blake3/guts"
)

// CheckBlocks compares consecutive blocks with their leaves, leaves[i] being the one of the block number first+i, and
// appends to bad the indices, relative to first, of those that do not match or have no leaf. Only the last block may
// be shorter than 4096 bytes.
//
// Four blocks at a time are hashed in one call and compared through the parents of their leaves: equal parents mean
// equal leaves, as BLAKE3 has no known collisions, and parents have no position, so that any four neighbours will do.
// Only where that fails are single blocks looked at.
func CheckBlocks(data []byte, first int64, leaves []Hash, bad []int) []int {
	i := 0 // block, relative
	for len(data) >= groupSize && i+groupBlocks <= len(leaves) {
		warm(data[:groupSize])
		node := compress(data, groupSize, first+int64(i))
		for half := range 2 {
			k := i + 2*half
			want := guts.ChainingValue(guts.ParentNode(toWords(&leaves[k]), toWords(&leaves[k+1]), &guts.IV, 0))
			if [8]uint32(node.Block[8*half:]) != want {
				bad = checkSingly(data[half*pairSize:(half+1)*pairSize], first, k, leaves, bad)
			}
		}
		data, i = data[groupSize:], i+groupBlocks
	}
	return checkSingly(data, first, i, leaves, bad)
}

// warm brings data into the cache in the order of its addresses, which the processor reads ahead of. The vector code looks at
// sixteen places of a group at a time, and waits for memory at each line where others have written the data: 8.3 µs a
// group, 5.3 with this, 4.5 where the data was there already.
func warm(data []byte) {
	const line = 64
	var sum byte
	for i := 0; i < len(data); i += line {
		sum += data[i]
	}
	runtime.KeepAlive(sum) // or the compiler leaves the reads out
}

// checkSingly is CheckBlocks for data that begins with relative block i, by one or two blocks a call.
func checkSingly(data []byte, first int64, i int, leaves []Hash, bad []int) []int {
	var room [2]Hash
	for len(data) > 0 {
		n := min(pairSize, len(data))
		for _, cv := range LeafCVs(room[:0], data[:n], first+int64(i)) {
			if i >= len(leaves) || cv != leaves[i] {
				bad = append(bad, i)
			}
			i++
		}
		data = data[n:]
	}
	return bad
}

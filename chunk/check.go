package chunk

import "lukechampine.com/blake3/guts"

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

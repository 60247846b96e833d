package main

// synonyms are verbs that people know from other tools.
var synonyms = map[string]string{
	"add": "seed", "share": "seed", "serve": "seed", "upload": "seed", "publish": "seed",
	"download": "get", "fetch": "get", "pull": "get", "b3sum": "hash", "sum": "hash", "sha256sum": "hash",
	"msg": "chat", "say": "chat", "nodes": "peers", "test": "demo",
	"list": "ls", "dir": "ls", "search": "ls", "find": "ls", "offers": "ls",
}

// nearest returns the candidate that a person who typed word probably meant, or
// "". Ties go to the first candidate.
func nearest(word string, candidates []string) string {
	best, bestDistance := "", 3 // two mistakes are the most that still look alike
	for _, c := range candidates {
		d := distance(word, c)
		// A short word has little to recognise it by: half of it must be right.
		if d < bestDistance && 2*d <= max(len(word), len(c)) {
			best, bestDistance = c, d
		}
	}
	return best
}

// distance counts the insertions, deletions, replacements and swaps of neighbours
// that turn a into b (optimal string alignment). Words of a stranger's length are
// not worth the quadratic work.
func distance(a, b string) int {
	if len(a) > 40 || len(b) > 40 {
		return 40
	}
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range len(b) + 1 {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			d := min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, rows[i-2][j-2]+1)
			}
			rows[i][j] = d
		}
	}
	return rows[len(a)][len(b)]
}

package config

import "strings"

// suggest returns the hint for a word that is none of known: the nearest one if a slip of the pen leads to it, else all.
func suggest(word string, known []string) string {
	best, least := "", 1+min(3, max(1, len(word)/3))
	for _, k := range known {
		if d := distance(strings.ToLower(word), strings.ToLower(k)); d < least {
			best, least = k, d
		}
	}
	if best != "" {
		return "did you mean " + best + "?"
	}
	return "one of " + strings.Join(known, ", ")
}

// distance counts the insertions, deletions, replacements and swaps of neighbours that turn a into b. Words of more than
// 32 bytes are too long to be a slip.
func distance(a, b string) int {
	const most = 32
	if len(a) > most || len(b) > most {
		return most
	}
	var d [most + 1][most + 1]int
	for i := 0; i <= len(a); i++ {
		for j := 0; j <= len(b); j++ {
			if i == 0 || j == 0 {
				d[i][j] = i + j
				continue
			}
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			d[i][j] = min(d[i-1][j]+1, d[i][j-1]+1, d[i-1][j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(a)][len(b)]
}

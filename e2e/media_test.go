package e2e

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/siptest"
)

// relaying lets the edge relay media.
var relaying = siptest.Keys{"media": "{relay: builtin, ports: 40000-49999}"}

// TestConformanceMedia runs the rows about calls once more while media is relayed: whoever follows the RFC notices nothing but other addresses.
func TestConformanceMedia(t *testing.T) {
	rowsAgain(t, "P2 P3 P4 P5 P6 P8 P15 P16 P17 P29 P30 P31 P33 P34 P35 P36 P37 P38 P39 P43 P45 P46 P48 P64 P65 P66 P67 P68", 2, relaying)
}

// rowsAgain runs rows with more keys, on at most ways of their ways.
func rowsAgain(t *testing.T, ids string, ways int, more siptest.Keys) {
	again := strings.Fields(ids)
	for _, row := range rows {
		if !slices.Contains(again, row.id) {
			continue
		}
		keys := maps.Clone(more)
		maps.Copy(keys, row.keys)
		t.Run(row.id, func(t *testing.T) {
			for _, w := range row.ways[:min(ways, len(row.ways))] {
				t.Run(w.name, func(t *testing.T) {
					t.Parallel()
					row.run(newRig(t, w, concealed(keys)))
				})
			}
		})
	}
}

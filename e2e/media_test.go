package e2e

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/siptest"
)

// relaying lets the edge relay media.
var relaying = siptest.Keys{"media": "{relay: builtin, ports: 20000-29999}"}

// relayed is keys with media relayed.
func relayed(keys siptest.Keys) siptest.Keys {
	all := maps.Clone(relaying)
	maps.Copy(all, keys)
	return all
}

// TestConformanceMedia runs the rows about calls once more while media is relayed: whoever follows the RFC notices nothing but other addresses.
func TestConformanceMedia(t *testing.T) {
	again := strings.Fields("P2 P3 P4 P5 P6 P8 P15 P16 P17 P29 P30 P31 P33 P34 P35 P36 P37 P38 P39 P43 P45 P46 P48 P64 P65 P66 P67 P68")
	for _, row := range rows {
		if !slices.Contains(again, row.id) {
			continue
		}
		t.Run(row.id, func(t *testing.T) {
			for _, w := range row.ways[:min(2, len(row.ways))] {
				t.Run(w.name, func(t *testing.T) {
					t.Parallel()
					row.run(newRig(t, w, concealed(relayed(row.keys))))
				})
			}
		})
	}
}

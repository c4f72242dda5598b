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

// rowsAgain runs rows with the platform hidden and more keys, on at most ways of their ways.
func rowsAgain(t *testing.T, ids string, ways int, more siptest.Keys) {
	again := strings.Fields(ids)
	for _, row := range rows {
		if !slices.Contains(again, row.id) {
			continue
		}
		keys := maps.Clone(more)
		maps.Copy(keys, row.keys)
		t.Run(row.id, func(t *testing.T) {
			t.Parallel() // rows wait more than they work
			for _, w := range row.ways[:min(ways, len(row.ways))] {
				t.Run(w.name, func(t *testing.T) {
					t.Parallel()
					row.run(newRig(t, w, concealed(keys)))
				})
			}
		})
	}
}

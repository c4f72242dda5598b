package judge

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/ringwall/ringwall/state"
	"github.com/ringwall/ringwall/state/statefile"
)

// TestSince: since when users are known is when the file was made, after restarts, too, and after it had to begin anew while we ran.
func TestSince(t *testing.T) {
	db, err := statefile.Open(filepath.Join(t.TempDir(), "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	for day := range 3 {
		j := newJudge(t, Enforce)
		journal, err := OpenJournal(t.Context(), db, j, start.Add(time.Duration(day)*24*time.Hour), state.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if !journal.Since().Equal(start) {
			t.Errorf("day %d: since %v, want %v", day, journal.Since(), start)
		}
		if _, err := db.ExecContext(t.Context(), `DROP TABLE known_since; DROP TABLE known_user`); err != nil {
			t.Fatal(err)
		}
		journal.Mark(1)
		if err := journal.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

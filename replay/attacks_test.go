package replay

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"

	"github.com/ringwall/ringwall/check"
	"github.com/ringwall/ringwall/judge"
	"github.com/ringwall/ringwall/meter"
)

var testKey = meter.NewKey([16]byte{7})

// allChecks are all checks at work, with their defaults.
func allChecks() (list []judge.Charge) {
	for _, row := range check.List() {
		list = append(list, judge.Charge{Name: row.Name, Mode: judge.Enforce, Check: row.New(check.Config{}, testKey), Reasons: row.Reasons})
	}
	return list
}

// shared is where labelled captures are, on machines that have them.
const shared = "../../shared/testdata/attacks"

// later are classes that no check looks for yet.
var later = []string{"tdos", "wangiri", "toll_fraud"}

// TestAttacks runs all labelled captures that are there: nobody innocent is banned, and every attacker is found whose class a check looks for.
// The table that it prints is what docs/detection.md shows; "let through" and "seconds" are medians and the most of an attacker.
func TestAttacks(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(shared, "*.pcap*"))
	if err != nil || len(files) == 0 {
		t.Logf("there are no labelled captures in %s: only the cases of this package ran", shared)
		return
	}
	var text bytes.Buffer
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "file\tclass\tmessages\tstopped\tattackers\tfound\tbanned\tlet through\tseconds\tinnocent\tlocks\treasons")
	for _, file := range files {
		if line := attack(t, file); line != "" {
			fmt.Fprintln(table, line)
		}
	}
	if err := table.Flush(); err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + text.String())
}

// attack judges one capture and tells of it in one line.
func attack(t *testing.T, file string) string {
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	labels, err := os.Open(filepath.Join(filepath.Dir(file), "labels.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer labels.Close()
	all, err := ReadLabels(labels, file)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	inside, err := Infer(bytes.NewReader(b))
	if err != nil {
		t.Errorf("%s: %v", file, err)
		return ""
	}
	r, err := Run(bytes.NewReader(b), Config{Inside: inside, Checks: allChecks(), Key: testKey})
	if err != nil {
		t.Errorf("%s: %v", file, err)
		return ""
	}
	r.Score(all)
	s := r.Labels[0]
	if len(s.Innocent) > 0 {
		t.Errorf("%s: innocents are banned: %v: %v", file, s.Innocent, r.Bans)
	}
	if s.Found < s.Attackers && !slices.Contains(later, s.Class) {
		t.Errorf("%s: %d of %d attackers found, not %v", file, s.Found, s.Attackers, s.Missed)
	}
	acted, reasons := uint64(0), map[string]bool{}
	for _, one := range r.Sources {
		acted += one.Acted
		for _, why := range one.Reasons {
			reasons[string(why)] = true
		}
	}
	return fmt.Sprintf("%s\t%s\t%d\t%d\t%d\t%d\t%d\t%.0f/%.0f\t%.1f/%.1f\t%d/%d\t%d\t%s", stem(file), s.Class, r.Messages, acted, s.Attackers, s.Found, s.Banned,
		s.Through.Median, s.Through.Most, s.Time.Median, s.Time.Most, len(s.Innocent), s.Touched, len(r.Locks), strings.Join(slices.Sorted(maps.Keys(reasons)), " "))
}

package replay

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

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

// A goal is what is to come of a capture.
type goal struct {
	through float64  // messages that the platform gets of an attacker at most
	reasons []string // why messages of the innocent may be stopped; none: none may
	later   bool     // no check looks for that yet
}

// lockouts is where phones have wrong passwords.
var lockouts = []string{"auth.lockout"}

// goals are those of the files that are not held to their class. An "unmarked" capture is judged without the check scanner, as if the tools had not
// left their marks in it.
var goals = map[string]goal{
	"a14_sipsak_usrloc":         {reasons: []string{"contact.place"}}, // grey: a monitoring tool with a Contact at 127.0.0.1
	"m01_office_plus_attackers": {through: 1, reasons: lockouts}, "m02_attacker_inside_nat": {through: 12, reasons: lockouts},
	"n01_wrong_password_phone": {reasons: lockouts}, "n02_nat_office_one_wrong": {reasons: lockouts}, "n07_password_rotation_site": {reasons: lockouts},
	"n13_cgnat": {reasons: lockouts}, "s01_dialprefix_one_source": {through: 1}, "s08_register_flood": {through: 1},
	"unmarked m01_office_plus_attackers": {through: 10, reasons: lockouts}, "unmarked s08_register_flood": {through: 62}, // what a stranger may send at once
	"unmarked m02_attacker_inside_nat": {through: 12, reasons: lockouts},
}

// classes are the goals of attacks by class, in messages: prefixes 6 (of a stolen account these come twice, since users are challenged, and after two
// REGISTERs), passwords 10, users 12, of sources that take turns 12 tries; forged Routes and identities are taken off and do no harm.
var classes = map[string]goal{
	"scan_options": {through: 1}, "scan_ports": {through: 1}, "scan_invite": {through: 1}, "probe": {through: 1}, "caller_spoof": {through: 1},
	"enum_register": {through: 12}, "enum_options": {through: 0}, "enum_invite": {through: 12}, "brute_fast": {through: 10},
	"malformed": {through: 1}, "injection": {through: 1}, "header_spoof": {through: 10}, "register_hijack": {through: 1},
	"flood": {through: 0}, "dial_prefix": {through: 6}, "dial_prefix_distributed": {through: 6}, "toll_fraud_probe": {through: 2 + 6},
	"brute_slow": {through: 10}, "brute_distributed": {through: 12}, "password_spray": {through: 10}, "enum_slow": {through: 12},
	"tdos": {later: true}, "wangiri": {later: true}, "toll_fraud": {later: true},
}

// marked are the captures that are judged a second time without the check scanner.
var marked = []string{"a04", "a06", "a07", "a08", "a09", "a11", "m01", "m02", "s01", "s08"}

// TestAttacks holds all labelled captures that are there to the goals: every attacker is found whose class a check looks for, before too much of him
// gets through, and nobody innocent is banned nor, but for phones with wrong passwords, stopped. With -v it prints the table in docs/detection.md.
func TestAttacks(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(shared, "*.pcap*"))
	if err != nil || len(files) == 0 {
		t.Logf("there are no labelled captures in %s: only the cases of this package ran", shared)
		return
	}
	var text strings.Builder
	for _, file := range files {
		text.WriteString(attack(t, file, stem(file), allChecks()))
	}
	for _, file := range files {
		if name := stem(file); slices.Contains(marked, name[:3]) {
			text.WriteString(attack(t, file, "unmarked "+name, slices.DeleteFunc(allChecks(), func(c judge.Charge) bool { return c.Name == "scanner" })))
		}
	}
	t.Log("\n" + text.String())
}

// attack judges one capture, holds it to its goal, and tells of it in one line.
func attack(t *testing.T, file, name string, checks []judge.Charge) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	inside, err := Infer(bytes.NewReader(b))
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return ""
	}
	r, err := Run(bytes.NewReader(b), Config{Inside: inside, Checks: checks, Key: testKey})
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return ""
	}
	r.Score(labelled(t, file))
	want, special := goals[name]
	if !special {
		want = classes[r.Labels[0].Class]
	}
	return meets(t, name, r, want)
}

// labelled are the labels of a capture.
func labelled(t *testing.T, file string) []Label {
	t.Helper()
	csv, err := os.Open(filepath.Join(filepath.Dir(file), "labels.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer csv.Close()
	list, err := ReadLabels(csv, file)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return list
}

// meets holds a report to a goal, and tells of it in a row of a table.
func meets(t *testing.T, name string, r *Report, want goal) string {
	t.Helper()
	s := r.Labels[0]
	if len(s.Innocent) > 0 {
		t.Errorf("%s: innocents are banned: %v: %v", name, s.Innocent, r.Bans)
	}
	if !want.later && (s.Found < s.Attackers || s.Through.Most > want.through) {
		t.Errorf("%s: %d of %d attackers found, not %v; %.0f messages got through, want up to %.0f", name, s.Found, s.Attackers, s.Missed, s.Through.Most, want.through)
	}
	acted, reasons := uint64(0), map[string]bool{}
	for _, one := range r.Sources {
		acted += one.Acted
		for _, why := range one.Reasons {
			reasons[string(why)] = true
		}
	}
	if s.Kind != "attack" && s.Touched > 0 && len(want.reasons) == 0 {
		t.Errorf("%s: messages of the innocent are stopped: %v", name, r.Sources)
	}
	for why := range reasons {
		if (s.Kind == "benign" || s.Kind == "grey") && acted > 0 && !slices.Contains(want.reasons, why) {
			t.Errorf("%s: messages of the innocent are stopped for %s", name, why)
		}
	}
	found := "-"
	if s.Attackers > 0 {
		found = fmt.Sprintf("%d of %d | %d | %.0f / %.0f | %.1f / %.1f", s.Found, s.Attackers, s.Banned, s.Through.Median, s.Through.Most, s.Time.Median, s.Time.Most)
	} else {
		found += " | - | - | -"
	}
	list := slices.Sorted(maps.Keys(reasons))
	for i := range list {
		list[i] = "`" + list[i] + "`"
	}
	return fmt.Sprintf("| %s | %s | %d | %d | %s | %d / %d | %s |\n", name, s.Class, r.Messages, acted, found, len(s.Innocent), s.Touched, strings.Join(list, ", "))
}

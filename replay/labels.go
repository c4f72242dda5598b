package replay

import (
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ringwall/ringwall/edge"
)

// A Label says what is in a capture, in the form of a row of a labels file: kind (attack, benign, grey or mixed), class, and who is behind it.
type Label struct {
	Kind, Class string
	Attackers   []edge.Source // of an attack, to be punished; nobody else is
	User        string        // whom the attack is after; "" or "-": nobody in particular
}

// ReadLabels reads the rows for a capture of that name (with or without folder and endings) from a labels file: comma separated, with a head
// that names at least the columns file, kind, class and attacker_or_benign_sources. Sources are addresses, prefixes or address:port; "many" and
// "callee:NUMBER" mean that no source is to be punished. The error names the line, or says that there is no row.
func ReadLabels(r io.Reader, capture string) ([]Label, error) {
	in := csv.NewReader(r)
	in.ReuseRecord, in.FieldsPerRecord = true, 0
	head, err := in.Read()
	if err != nil {
		return nil, fmt.Errorf("read the head: %w", err)
	}
	column := map[string]int{}
	for i, name := range head {
		column[strings.TrimSpace(name)] = i
	}
	for _, name := range []string{"file", "kind", "class", "attacker_or_benign_sources"} {
		if _, have := column[name]; !have {
			return nil, fmt.Errorf("there is no column %s", name)
		}
	}
	var list []Label
	for {
		row, err := in.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if stem(row[column["file"]]) != stem(capture) {
			continue
		}
		one, err := newLabel(row, column)
		if err != nil {
			line, _ := in.FieldPos(0)
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		list = append(list, one)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("there is no row for %s", stem(capture))
	}
	return list, nil
}

// stem is the name of a capture without folder and endings.
func stem(name string) string {
	name = filepath.Base(name)
	for _, end := range []string{".gz", ".pcap", ".pcapng"} {
		name = strings.TrimSuffix(name, end)
	}
	return name
}

func newLabel(row []string, column map[string]int) (Label, error) {
	l := Label{Kind: row[column["kind"]], Class: row[column["class"]]}
	if i, have := column["target_user"]; have && row[i] != "-" && row[i] != "many" {
		l.User = row[i]
	}
	switch l.Kind {
	case "benign", "grey":
		return l, nil
	case "attack", "mixed":
	default:
		return l, fmt.Errorf("kind %q: want attack, benign, grey or mixed", l.Kind)
	}
	for text := range strings.SplitSeq(row[column["attacker_or_benign_sources"]], ",") {
		if text = strings.TrimSpace(text); text == "" || text == "-" || text == "many" || strings.HasPrefix(text, "callee:") {
			continue
		}
		s, err := edge.ParseSource(text)
		if err != nil {
			return l, err
		}
		l.Attackers = append(l.Attackers, s)
	}
	return l, nil
}

// A Score says how well a Label was found.
type Score struct {
	Class     string   `json:"class"`
	Kind      string   `json:"kind"`
	Attackers int      `json:"attackers"`           // labelled, and seen
	Found     int      `json:"found"`               // of these: something was done about them
	Banned    int      `json:"banned"`              // of these: banned
	Protected bool     `json:"protected"`           // the user whom the attack is after is locked for strangers
	Recall    *float64 `json:"recall,omitempty"`    // found of the attackers; all of them where the user is protected
	Precision *float64 `json:"precision,omitempty"` // attackers among those found or wrongly banned
	Through   Spread   `json:"messages_through"`    // of each attacker, that the platform got before something was done; of one never found: all
	Time      Spread   `json:"time_s"`              // from its first message until then, of those found
	Missed    []string `json:"missed,omitempty"`    // at most 20
	Innocent  []string `json:"innocent_banned"`     // sources that the label does not name, at most 20
	Touched   int      `json:"innocent_touched"`    // of these: some message did not just pass
}

// A Spread is about several figures.
type Spread struct {
	Median float64 `json:"median"`
	Most   float64 `json:"max"`
}

// maxNamed is how many sources a Score names.
const maxNamed = 20

// Score compares r with labels, and keeps the result in r.
func (r *Report) Score(labels []Label) {
	for _, l := range labels {
		r.Labels = append(r.Labels, r.score(l))
	}
}

func (r *Report) score(l Label) Score {
	s := Score{Class: l.Class, Kind: l.Kind, Innocent: []string{}}
	for _, lock := range r.Locks {
		s.Protected = s.Protected || lock.Source == "*" && l.User != "" && (lock.User == l.User || strings.HasPrefix(lock.User, l.User+"@"))
	}
	var through, times []float64
	for _, name := range l.Attackers {
		t := r.crowd.tally(name)
		if t.messages == 0 {
			continue
		}
		s.Attackers++
		switch {
		case t.judged:
			s.Found++
			times, through = append(times, t.when-t.first), append(through, float64(t.before))
		default:
			through = append(through, float64(t.passed))
			s.Missed = named(s.Missed, name)
		}
		if t.banned {
			s.Banned++
		}
	}
	wrong := r.innocents(l, &s)
	s.Through, s.Time = spread(through), spread(times)
	if s.Attackers > 0 {
		recall := float64(s.Found) / float64(s.Attackers)
		if s.Protected {
			recall = 1
		}
		s.Recall = &recall
	}
	if s.Found+wrong > 0 {
		precision := float64(s.Found) / float64(s.Found+wrong)
		s.Precision = &precision
	}
	return s
}

// innocents counts sources that were banned, and that something was done about, though l does not name them.
func (r *Report) innocents(l Label, s *Score) (banned int) {
	blamed := func(from netip.AddrPort) bool {
		return slices.ContainsFunc(l.Attackers, func(a edge.Source) bool { return a.Covers(from) })
	}
	wrong, touched := map[edge.Source]bool{}, map[edge.Source]bool{}
	for from, f := range r.crowd.flows {
		if l.Kind == "grey" || blamed(from) || f.messages == 0 {
			continue
		}
		if f.acted > 0 {
			touched[f.source.name] = true
		}
		if f.banned || f.source.banned {
			wrong[f.source.name] = true
		}
	}
	for name := range wrong {
		s.Innocent = named(s.Innocent, name)
	}
	slices.Sort(s.Innocent)
	s.Touched = len(touched)
	return len(wrong)
}

func named(list []string, name edge.Source) []string {
	if len(list) < maxNamed {
		list = append(list, name.String())
	}
	return list
}

// tally is what became of all messages of a source.
func (c *crowd) tally(name edge.Source) (sum tally) {
	add := func(t *tally) {
		if sum.messages == 0 || t.first < sum.first {
			sum.first = t.first
		}
		sum.messages, sum.passed, sum.acted = sum.messages+t.messages, sum.passed+t.passed, sum.acted+t.acted
		if t.judged && (!sum.judged || t.when < sum.when) {
			sum.judged, sum.when, sum.before = true, t.when, t.before
		}
		sum.banned = sum.banned || t.banned
	}
	if s := c.sources[name]; s != nil {
		add(&s.tally)
		return sum
	}
	for from, f := range c.flows {
		if name.Covers(from) {
			add(&f.tally)
			sum.banned = sum.banned || f.source.banned
		}
	}
	return sum
}

func spread(list []float64) Spread {
	if len(list) == 0 {
		return Spread{}
	}
	slices.SortFunc(list, cmp.Compare)
	return Spread{Median: round(list[len(list)/2]), Most: round(list[len(list)-1])}
}

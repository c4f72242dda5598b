package ringwall

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/config"
	"github.com/ringwall/ringwall/sdp"
	"github.com/ringwall/ringwall/sip"
)

// pages reads every Markdown page that belongs to the project: path → text.
func pages(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	read := func(name string) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = string(text)
	}
	read("README.md")
	read("CHANGELOG.md")
	err := filepath.WalkDir("docs", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(name, ".md") {
			read(name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// A fence is the begin of a fenced block, with the language.
var fence = regexp.MustCompile("^\\s*```\\s*(\\w*)")

// yamlBlocks returns the fenced yaml blocks of text, by the line they begin at.
func yamlBlocks(text string) map[int]string {
	blocks := map[int]string{}
	start, inside, lang := 0, false, ""
	for i, line := range strings.Split(text, "\n") {
		m := fence.FindStringSubmatch(line)
		switch {
		case m != nil && !inside:
			inside, lang, start = true, m[1], i+2
		case m != nil:
			inside = false
		case inside && lang == "yaml":
			blocks[start] += line + "\n"
		}
	}
	return blocks
}

// later marks an example of what a coming version will read.
const later = "# not in this version"

// TestExamples loads every yaml block of README and docs. One that begins with "# not in this version" must be refused
// with these words, and with no others.
func TestExamples(t *testing.T) {
	count := 0
	for name, text := range pages(t) {
		for line, block := range yamlBlocks(text) {
			count++
			_, err := config.Parse(name, []byte(block))
			switch {
			case !strings.HasPrefix(block, later) && err != nil:
				t.Errorf("%s:%d: the example is not a configuration:\n%v", name, line, err)
			case strings.HasPrefix(block, later):
				onlyLater(t, name, line, err)
			}
		}
	}
	if count < 3 {
		t.Errorf("found %d examples in README and docs: where are they?", count)
	}
}

// derived are the keys whose default depends on others, on the machine or on the check.
var derived = []string{"outside.advertise", "inside.listen", "upstreams[].weight", "upstreams[].priority", "upstreams[].large", "upstreams[].ca", "upstreams[].certificate", "upstreams[].key",
	"tls", "tls.client_certificates", "tls.client_ca", "media.address", "media.inside_address", "trust.realm", "checks.NAME.mode", "checks.NAME.…"}

// TestDefaults: the example of docs/config.md that writes all defaults out is the default, in the order of ringwall fmt, and has every key of the
// table that has a default of its own.
func TestDefaults(t *testing.T) {
	text := pages(t)["docs/config.md"]
	_, text, _ = strings.Cut(text, "All defaults, written out")
	blocks := yamlBlocks(text)
	example := blocks[slices.Min(slices.Collect(maps.Keys(blocks)))]
	cfg, err := config.Parse("docs/config.md", []byte(example))
	if err != nil {
		t.Fatal(err)
	}
	// checks.mode left out is monitor, too, but status reminds of it.
	if keys := config.Changes(config.Default(), cfg); len(keys) > 0 && !slices.Equal(keys, []string{"checks"}) {
		t.Errorf("not the defaults: %v", keys)
	}
	if form, err := config.Format("docs/config.md", []byte(example)); err != nil || string(form) != example {
		t.Errorf("ringwall fmt gives (%v)\n%s", err, form)
	}
	_, keys, _ := strings.Cut(text, "\n## Keys\n")
	keys, _, _ = strings.Cut(keys, "\n\nLengths of time")
	for _, row := range regexp.MustCompile("(?m)^\\| (`.*?) \\|").FindAllStringSubmatch(keys, -1) {
		for key := range strings.SplitSeq(strings.ReplaceAll(row[1], "`", ""), ", ") {
			leaf := key[strings.LastIndex(key, ".")+1:]
			if !slices.Contains(derived, key) && !regexp.MustCompile(`(?m)(^|[ {])`+regexp.QuoteMeta(leaf)+`:\s`).MatchString(example) {
				t.Errorf("the example of all defaults has no %s", key)
			}
		}
	}
}

// onlyLater checks that err refuses an example for being of a later version, and for nothing else.
func onlyLater(t *testing.T, name string, line int, err error) {
	t.Helper()
	problems, _ := err.(config.Errors)
	if len(problems) == 0 {
		t.Errorf("%s:%d: the example is accepted: take the mark off", name, line)
	}
	for _, p := range problems {
		if !strings.Contains(p.Message, "not in this version") {
			t.Errorf("%s:%d: %v", name, line, p)
		}
	}
}

// link finds [text](target) in Markdown.
var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// TestLinks follows every link to a file of the repository.
func TestLinks(t *testing.T) {
	for name, text := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			target, _, _ := strings.Cut(m[1], "#")
			if target == "" || strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(name), target)); err != nil {
				t.Errorf("%s: the link to %s leads nowhere", name, m[1])
			}
		}
	}
}

// reasonInCode finds reason ids where Go code makes them.
var reasonInCode = regexp.MustCompile(`(?:edge\.Reason|\bReason)(?:\s*=\s*|\(|:\s*)"([^"]*)"`)

// reasonID is what a reason looks like.
var reasonID = regexp.MustCompile(`^[a-z]+(\.[a-z0-9_]+)*$`)

// reasonRow finds the ids of the tables in docs/reasons.md.
var reasonRow = regexp.MustCompile("(?m)^\\| `([^`]+)` \\|")

// Decisions have a number each, which stands in the name of the file and before its title.
func TestDecisionsAreNumbered(t *testing.T) {
	list, err := filepath.Glob("docs/adr/*.md")
	if err != nil || len(list) == 0 {
		t.Fatal(list, err)
	}
	for i, name := range list {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("%04d-", i+1); !strings.HasPrefix(filepath.Base(name), want) || !strings.HasPrefix(string(text), fmt.Sprintf("# %d. ", i+1)) {
			t.Errorf("%s: want the number %d in its name and title", name, i+1)
		}
	}
}

// TestReasonsAreListed holds docs/reasons.md and the code together: the same ids, each once.
func TestReasonsAreListed(t *testing.T) {
	page, err := os.ReadFile("docs/reasons.md")
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, m := range reasonRow.FindAllStringSubmatch(string(page), -1) {
		if slices.Contains(listed, m[1]) {
			t.Errorf("docs/reasons.md lists %s twice", m[1])
		}
		listed = append(listed, m[1])
	}
	used := reasonsInCode(t)
	for id, where := range used {
		if !reasonID.MatchString(id) {
			t.Errorf("%s: %q is no reason id: lower-case words, a dot between room and reason", where, id)
		}
		if !slices.Contains(listed, id) {
			t.Errorf("%s: docs/reasons.md does not list %s", where, id)
		}
	}
	for _, id := range listed {
		if used[id] == "" {
			t.Errorf("docs/reasons.md lists %s, which nothing gives", id)
		}
	}
}

// reasonsInCode returns every reason id that code gives, and where.
func reasonsInCode(t *testing.T) map[string]string {
	t.Helper()
	used := map[string]string{}
	for _, e := range sip.Errors() {
		used[e.ID()] = "sip/errors.go"
	}
	for _, e := range sdp.Errors() {
		used[e.ID()] = "sdp/errors.go"
	}
	for _, s := range tree(t) {
		if s.isTest || s.room == "" || rooms[s.room].layer == test {
			continue
		}
		for _, m := range reasonInCode.FindAllStringSubmatch(s.text, -1) {
			used[m[1]] = s.path
		}
	}
	if len(used) < 40 {
		t.Fatalf("found %d reasons in the code: has the way they are written changed?", len(used))
	}
	return used
}

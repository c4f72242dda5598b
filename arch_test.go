// Package ringwall holds no code: its tests hold the rules that the whole tree keeps (docs/architecture.md).
package ringwall

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const module = "github.com/ringwall/ringwall/"

// A room is a folder with one job.
type room struct {
	layer int      // rooms import rooms of lower layers only
	uses  []string // modules from outside that its code may import; "" for none
	pure  bool     // time is an argument, never read from the clock
}

// test is the layer of what only tests and measurements use.
const test = 9

// rooms is the table of docs/architecture.md. A new room is one line here, and a page in docs/rooms.
var rooms = map[string]room{
	"docs":         {layer: 0, pure: true},
	"sip":          {layer: 0, pure: true},
	"sdp":          {layer: 0, pure: true},
	"seal":         {layer: 0, uses: []string{"golang.org/x/sys"}},
	"state":        {layer: 0, uses: []string{"modernc.org/sqlite"}}, // only state/statefile does
	"meter":        {layer: 0, pure: true},
	"xsk":          {layer: 0, uses: []string{"github.com/cilium/ebpf", "github.com/vishvananda/netlink", "golang.org/x/sys"}},
	"edge":         {layer: 1, pure: true},
	"transport":    {layer: 2, uses: []string{"golang.org/x/sys"}},
	"transaction":  {layer: 2, pure: true},
	"binding":      {layer: 2},
	"ban":          {layer: 2, uses: []string{"github.com/gaissmai/bart"}, pure: true},
	"gate":         {layer: 2, pure: true},
	"event":        {layer: 2, uses: []string{"github.com/prometheus/client_golang"}},
	"memory":       {layer: 2, uses: []string{"golang.org/x/sys"}},
	"resolve":      {layer: 2, uses: []string{"github.com/miekg/dns"}},
	"topo":         {layer: 2, pure: true},
	"scrub":        {layer: 2, pure: true},
	"check":        {layer: 2, pure: true},
	"judge":        {layer: 2, pure: true},
	"challenge":    {layer: 2, pure: true},
	"media":        {layer: 2, uses: []string{"golang.org/x/sys"}},
	"proxy":        {layer: 3},
	"replay":       {layer: 3, uses: []string{"github.com/gopacket/gopacket"}, pure: true},
	"demo":         {layer: 3},
	"config":       {layer: 4, uses: []string{"github.com/goccy/go-yaml"}},
	"admin":        {layer: 4, uses: []string{"github.com/prometheus/client_golang", "golang.org/x/sys"}},
	"cmd/ringwall": {layer: 5, uses: []string{"github.com/spf13/cobra", "github.com/prometheus/client_golang", "golang.org/x/sys"}},
	"siptest":      {layer: test, uses: []string{"github.com/coder/websocket", "github.com/miekg/dns"}},
	"e2e":          {layer: test},
	"bench":        {layer: test, uses: []string{"golang.org/x/sys", "github.com/emiago/sipgo"}},
}

// Limits of size, in lines.
const (
	maxFile     = 800 // of any file
	codeFile    = 400 // of a file that is no test
	maxFunction = 60  // of a function in code; nearly all stay below 40
	maxEdge     = 500 // of the vocabulary as a whole
)

// longFiles are files of code above codeFile lines, each with its reason.
var longFiles = map[string]string{}

// A source is one Go file of the tree.
type source struct {
	path   string // slashes, from the root
	room   string
	text   string
	isTest bool
	file   *ast.File
	set    *token.FileSet
}

// line returns where pos is.
func (s source) line(pos token.Pos) string {
	return fmt.Sprintf("%s:%d", s.path, s.set.Position(pos).Line)
}

// lines counts the lines of s.
func (s source) lines() int { return strings.Count(s.text, "\n") }

// tree returns every Go file below the root.
func tree(t *testing.T) []source {
	t.Helper()
	all, err := readTree()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 50 {
		t.Fatalf("found %d Go files: this test must run in the root of the repository", len(all))
	}
	return all
}

// readTree reads and parses the files once for all tests.
var readTree = sync.OnceValues(func() (all []source, err error) {
	err = filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "build"):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, ".go"):
			return nil
		}
		s, err := readSource(name)
		all = append(all, s)
		return err
	})
	return all, err
})

// readSource reads and parses one file.
func readSource(name string) (source, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return source{}, err
	}
	s := source{path: filepath.ToSlash(name), text: string(text), isTest: strings.HasSuffix(name, "_test.go"), set: token.NewFileSet()}
	s.room = roomOf(path.Dir(s.path))
	s.file, err = parser.ParseFile(s.set, name, text, parser.ParseComments|parser.SkipObjectResolution)
	return s, err
}

// roomOf returns the room that folder belongs to, "" for the root, or folder itself if it belongs to none.
func roomOf(folder string) string {
	if folder == "." {
		return ""
	}
	for at := folder; at != "."; at = path.Dir(at) {
		if _, found := rooms[at]; found {
			return at
		}
	}
	return folder
}

func TestLayers(t *testing.T) {
	for _, s := range tree(t) {
		if s.room == "" {
			continue
		}
		from, known := rooms[s.room]
		if !known {
			t.Errorf("%s: the folder %s is no room: give it a line in rooms (arch_test.go) and a page in docs/rooms", s.path, s.room)
			continue
		}
		for _, spec := range s.file.Imports {
			if why := forbidden(s, from, spec); why != "" {
				t.Errorf("%s: %s", s.line(spec.Pos()), why)
			}
		}
	}
}

// forbidden returns why s, which is in the room from, may not import what spec names; "" if it may.
func forbidden(s source, from room, spec *ast.ImportSpec) string {
	name, _ := strconv.Unquote(spec.Path.Value)
	inside, ours := strings.CutPrefix(name, module)
	switch {
	case name == "C":
		return "there is no cgo here: the binary is one static file"
	case ours:
		return forbiddenRoom(s, from, roomOf(inside))
	case !strings.Contains(strings.Split(name, "/")[0], "."), s.isTest:
		return "" // the standard library; libraries of tests are a matter of go.mod
	}
	for _, allowed := range from.uses {
		if name == allowed || strings.HasPrefix(name, allowed+"/") {
			return ""
		}
	}
	return fmt.Sprintf("%s may not import %s: every library of a room stands in rooms (arch_test.go), so that a new one is a decision", s.room, name)
}

// forbiddenRoom returns why s may not import the room to.
func forbiddenRoom(s source, from room, to string) string {
	there, known := rooms[to]
	switch {
	case !known:
		return fmt.Sprintf("%s is no room", to)
	case to == s.room, there.layer < from.layer:
		return ""
	case there.layer == test && (s.isTest || from.layer == test):
		return ""
	case there.layer == test:
		return fmt.Sprintf("%s is for tests only: what ships may not depend on it", to)
	case there.layer == from.layer:
		return fmt.Sprintf("%s may not import %s: both are of layer %d, and rooms of one layer meet in a higher one, so that each can be read, tested and replaced alone", s.room, to, from.layer)
	}
	return fmt.Sprintf("%s (layer %d) may not import %s (layer %d): what is simple must not depend on what is built from it", s.room, from.layer, to, there.layer)
}

func TestSizes(t *testing.T) {
	edge := 0
	for _, s := range tree(t) {
		n := s.lines()
		if s.room == "edge" && !s.isTest {
			edge += n
		}
		if n > maxFile {
			t.Errorf("%s has %d lines, no file has more than %d: split it by what its parts do", s.path, n, maxFile)
		} else if n > codeFile && !s.isTest && longFiles[s.path] == "" {
			t.Errorf("%s has %d lines, code stays below %d: split it, or give the reason in longFiles (arch_test.go)", s.path, n, codeFile)
		}
		if !s.isTest {
			longFunctions(t, s)
		}
	}
	if edge > maxEdge {
		t.Errorf("edge has %d lines: the vocabulary stays below %d, behaviour belongs elsewhere", edge, maxEdge)
	}
}

// longFunctions reports functions that do not fit on a screen or two.
func longFunctions(t *testing.T, s source) {
	for _, d := range s.file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		if n := s.set.Position(f.End()).Line - s.set.Position(f.Pos()).Line + 1; n > maxFunction {
			t.Errorf("%s: %s has %d lines, a function has at most %d", s.line(f.Pos()), f.Name.Name, n, maxFunction)
		}
	}
}

// calls runs do for every call in s, with its text ("time.Now") and the function declaration around it, if any.
func calls(s source, do func(call *ast.CallExpr, name string, in *ast.FuncDecl)) {
	for _, d := range s.file.Decls {
		in, _ := d.(*ast.FuncDecl)
		ast.Inspect(d, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			switch f := call.Fun.(type) {
			case *ast.Ident:
				do(call, f.Name, in)
			case *ast.SelectorExpr:
				name := "." + f.Sel.Name
				if x, ok := f.X.(*ast.Ident); ok {
					name = x.Name + name
				}
				do(call, name, in)
			}
			return true
		})
	}
}

func TestPureRoomsReadNoClock(t *testing.T) {
	clock := []string{"time.Now", "time.Since", "time.Until", "time.After", "time.AfterFunc", "time.Tick", "time.NewTimer", "time.NewTicker", "time.Sleep"}
	for _, s := range tree(t) {
		if s.isTest || !rooms[s.room].pure {
			continue
		}
		calls(s, func(call *ast.CallExpr, name string, _ *ast.FuncDecl) {
			if slices.Contains(clock, name) {
				t.Errorf("%s: %s in %s: time is an argument there (Exchange.At), so that replay and tests need no clock", s.line(call.Pos()), name, s.room)
			}
		})
	}
}

func TestNoPanics(t *testing.T) {
	for _, s := range tree(t) {
		if s.isTest || rooms[s.room].layer == test {
			continue
		}
		calls(s, func(call *ast.CallExpr, name string, in *ast.FuncDecl) {
			if name == "panic" && (in == nil || !strings.HasPrefix(strings.ToLower(in.Name.Name), "must")) {
				t.Errorf("%s: panic outside Must…: a message must never be able to end the edge", s.line(call.Pos()))
			}
		})
	}
}

// TestSkipsSaySo: a skipped test counts as not passed, so it must tell what would make it run.
func TestSkipsSaySo(t *testing.T) {
	for _, s := range tree(t) {
		calls(s, func(call *ast.CallExpr, name string, _ *ast.FuncDecl) {
			switch {
			case strings.HasSuffix(name, ".SkipNow"):
				t.Errorf("%s: SkipNow says nothing: use Skip and name what is missing", s.line(call.Pos()))
			case strings.HasSuffix(name, ".Skip"), strings.HasSuffix(name, ".Skipf"):
				if len(call.Args) == 0 {
					t.Errorf("%s: Skip must name what is missing", s.line(call.Pos()))
				} else if text, ok := call.Args[0].(*ast.BasicLit); ok && len(text.Value) < 16 {
					t.Errorf("%s: %s does not say what is missing", s.line(call.Pos()), text.Value)
				}
			}
		})
	}
}

// Marks that must not stay, put together so that this file does not hold them.
var (
	leftOpen   = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X)\b`)
	suppressed = regexp.MustCompile(`//(lint:(file-)?ignore\s+\S+|nolint\S*)[ \t]*(.*)`)
	localPath  = regexp.MustCompile(`["'\s(](/wor` + `k/|/ho` + `me/\w|/ro` + `ot/)`)
)

func TestNothingLeftOpen(t *testing.T) {
	for _, s := range tree(t) {
		for i, line := range strings.Split(s.text, "\n") {
			if leftOpen.MatchString(line) {
				t.Errorf("%s:%d: left open: %s", s.path, i+1, strings.TrimSpace(line))
			}
			if m := suppressed.FindStringSubmatch(line); m != nil && len(m[3]) < 10 {
				t.Errorf("%s:%d: a suppressed finding needs its reason on the same line", s.path, i+1)
			}
			if localPath.MatchString(line) {
				t.Errorf("%s:%d: a path of somebody's machine: %s", s.path, i+1, strings.TrimSpace(line))
			}
		}
	}
}

func TestComments(t *testing.T) {
	documented := map[string]bool{}
	for _, s := range tree(t) {
		folder := path.Dir(s.path)
		documented[folder] = documented[folder] || s.file.Doc != nil
		if !s.isTest {
			for _, name := range uncommented(s.file) {
				t.Errorf("%s: %s is exported and has no comment", s.path, name)
			}
		}
	}
	for _, folder := range slices.Sorted(maps.Keys(documented)) {
		if !documented[folder] {
			t.Errorf("the package in %s has no comment", folder)
		}
	}
}

// uncommented returns the exported functions, methods of exported types, types, constants and variables of f that neither
// they nor their group explain.
func uncommented(f *ast.File) (names []string) {
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Name.IsExported() && d.Doc == nil && exportedReceiver(d) {
				names = append(names, d.Name.Name)
			}
		case *ast.GenDecl:
			if d.Doc != nil {
				continue
			}
			for _, spec := range d.Specs {
				names = append(names, uncommentedSpec(spec)...)
			}
		}
	}
	return names
}

// exportedReceiver reports whether d is a function, or a method of an exported type.
func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	typ := d.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	if generic, ok := typ.(*ast.IndexExpr); ok {
		typ = generic.X
	}
	name, ok := typ.(*ast.Ident)
	return ok && name.IsExported()
}

// uncommentedSpec returns the exported names of spec if it has no comment.
func uncommentedSpec(spec ast.Spec) (names []string) {
	switch s := spec.(type) {
	case *ast.TypeSpec:
		if s.Name.IsExported() && s.Doc == nil && s.Comment == nil {
			names = append(names, s.Name.Name)
		}
	case *ast.ValueSpec:
		for _, n := range s.Names {
			if n.IsExported() && s.Doc == nil && s.Comment == nil {
				names = append(names, n.Name)
			}
		}
	}
	return names
}

// TestRoomsHavePages: what a room promises stands in docs/rooms, and the map shows every room.
func TestRoomsHavePages(t *testing.T) {
	drawing, err := os.ReadFile("docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	for name := range rooms {
		page := "docs/rooms/" + path.Base(name) + ".md" // cmd/ringwall: ringwall.md
		if info, err := os.Stat(page); err != nil || info.Size() < 500 {
			t.Errorf("the room %s has no page: write %s (what it does, its contract, limits, figures)", name, page)
		}
		if !strings.Contains(string(drawing), "`"+name+"/`") {
			t.Errorf("docs/architecture.md does not name `%s/`", name)
		}
		if info, err := os.Stat(name); err != nil || !info.IsDir() {
			t.Errorf("the room %s is in the table, but there is no such folder", name)
		}
	}
}

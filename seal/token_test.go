package seal

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func openKeys(t testing.TB) *Keys {
	t.Helper()
	k, err := Open(filepath.Join(t.TempDir(), "keys"))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestTokenRoundTrip(t *testing.T) {
	k := openKeys(t)
	ad1, ad2 := []byte("a84b4c76e66710@pc33.example.com"), []byte("1928301774")
	for n := range 200 {
		plain := bytes.Repeat([]byte{byte(n)}, n)
		token := k.Seal([]byte("before"), plain, ad1, ad2)
		if !bytes.HasPrefix(token, []byte("before")) {
			t.Fatalf("Seal changed what dst held: %q", token)
		}
		token = token[len("before"):]
		if len(token) != TokenLen(n) {
			t.Errorf("token of %d bytes has length %d, TokenLen says %d", n, len(token), TokenLen(n))
		}
		got, err := k.Open([]byte("head"), token, ad1, ad2)
		if err != nil || !bytes.Equal(got, append([]byte("head"), plain...)) {
			t.Fatalf("Open of %d bytes: %q, %v", n, got, err)
		}
		if again := k.Seal(nil, plain, ad1, ad2); !bytes.Equal(again, token) {
			t.Errorf("equal input gave %s and %s", token, again)
		}
	}
}

// TestSealUnder: a token is made again from what it held, also when another key seals by now, and not with a key that nobody has.
func TestSealUnder(t *testing.T) {
	k := openKeys(t)
	plain, ad := []byte("both ends"), []byte("a84b4c76e66710")
	token := k.Seal(nil, plain, ad, nil)
	if err := k.Rotate(time.Now()); err != nil {
		t.Fatal(err)
	}
	if again, ok := k.SealUnder(token[0], nil, plain, ad, nil); !ok || !bytes.Equal(again, token) {
		t.Errorf("%s became %s", token, again)
	}
	if again, ok := k.SealUnder('!', []byte("x"), plain, ad, nil); ok || string(again) != "x" {
		t.Errorf("with no key: %s", again)
	}
}

func TestTokenAlphabet(t *testing.T) {
	k := openKeys(t)
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for i := range 500 {
		token := string(k.Seal(nil, fmt.Appendf(nil, "plain %d", i), nil, nil))
		if bad := strings.Trim(token, alphabet); bad != "" {
			t.Fatalf("token %s holds %q", token, bad)
		}
	}
}

// TestTokenRefusals changes a token in every way that comes to mind.
func TestTokenRefusals(t *testing.T) {
	k := openKeys(t)
	ad1, ad2 := []byte("call-id"), []byte("tag")
	for n := range 6 { // all three lengths of the last group
		plain := []byte("secret"[:n])
		token := k.Seal(nil, plain, ad1, ad2)
		refuse := func(what string, token, ad1, ad2 []byte) {
			t.Helper()
			dst := []byte("kept")
			got, err := k.Open(dst, token, ad1, ad2)
			if !errors.Is(err, ErrToken) || string(got) != "kept" {
				t.Errorf("%s (%d bytes): got %q, %v", what, n, got, err)
			}
		}
		for i := range token {
			for c := range 256 {
				if byte(c) != token[i] {
					other := bytes.Clone(token)
					other[i] = byte(c)
					refuse(fmt.Sprintf("character %d altered to %q", i, byte(c)), other, ad1, ad2)
				}
			}
			refuse("shortened", token[:i], ad1, ad2)
			refuse("cut in front", token[i+1:], ad1, ad2)
		}
		for c := range 256 {
			refuse("lengthened", append(bytes.Clone(token), byte(c)), ad1, ad2)
			for i := range token {
				refuse("inserted", bytes.Join([][]byte{token[:i], token[i:]}, []byte{byte(c)}), ad1, ad2)
			}
		}
		refuse("upper case", bytes.ToUpper(token), ad1, ad2)
		refuse("padded", append(bytes.Clone(token), "=="...), ad1, ad2)
		refuse("doubled", append(bytes.Clone(token), token...), ad1, ad2)
		refuse("other call", token, []byte("call-ie"), ad2)
		refuse("no call", token, nil, ad2)
		refuse("other tag", token, ad1, []byte("tah"))
		refuse("swapped", token, ad2, ad1)
		refuse("moved from one to the other", token, []byte("call-i"), []byte("dtag"))
		refuse("all in one", token, []byte("call-idtag"), nil)
	}
}

// TestTokenCanonical makes every text whose last character has other unused bits: the bytes are the same, the token is
// not.
func TestTokenCanonical(t *testing.T) {
	k := openKeys(t)
	for n := range 6 {
		token := k.Seal(nil, make([]byte, n), nil, nil)
		same := 0
		for c := range 256 {
			other := append(bytes.Clone(token[:len(token)-1]), byte(c))
			if _, err := k.Open(nil, other, nil, nil); err == nil {
				same++
			}
		}
		if same != 1 {
			t.Errorf("%d texts open as the token of %d bytes", same, n)
		}
	}
}

// TestUse: a Use makes and opens the tokens of Seal and Open, whatever key they are of, and no others.
func TestUse(t *testing.T) {
	k := openKeys(t)
	use, other := k.Use("use"), k.Use("other")
	var tokens [][]byte
	for i := range MaxKeys {
		plain := bytes.Repeat([]byte{7}, 9*i)
		token := use.Seal(nil, plain)
		if want := k.Seal(nil, plain, []byte("use"), nil); !bytes.Equal(token, want) {
			t.Errorf("%s, not %s", token, want)
		}
		tokens = append(tokens, token)
		for j, token := range tokens {
			if got, err := use.Open([]byte("x"), token); err != nil || len(got) != 1+9*j {
				t.Errorf("token %d after %d rotations: %x, %v", j, i, got, err)
			}
			if got, err := other.Open([]byte("x"), token); err == nil || string(got) != "x" {
				t.Errorf("token %d opens for another use: %x", j, got)
			}
		}
		if err := k.Rotate(time.Unix(2e9+int64(i), 0)); err != nil {
			t.Fatal(err)
		}
	}
	for _, token := range []string{"", "x", string(tokens[1][:len(tokens[1])-1]), string(tokens[1]) + "A", "!" + string(tokens[1][1:])} {
		if got, err := use.Open(nil, []byte(token)); err != ErrToken || len(got) != 0 {
			t.Errorf("%q opens: %x, %v", token, got, err)
		}
	}
}

// TestText compares AppendText and AppendBytes with encoding/base64.
func TestText(t *testing.T) {
	strict := base64.RawURLEncoding.Strict()
	for _, text := range []string{
		"", "A", "AA", "AB", "AAA", "AAB", "AAC", "AAAA", "____", "----", "AA==", "A\nAA", "AAA\r", "AAAA\n", "++++", "////",
		"\x00AAA", "\xffAAA", "AAAAA", "AAAAAA", "AAAAAB", "abcdefgh", "a b c d ", "AAAQ", "AQ", "Ag", "AQI", "AQID",
		"AAAAAAAA", "AAAAAAAAA", "AAAAAAAAAA", "AAAAAAAAAB", "abcdefghijkl!nop", "abcdefghijk\n", "_-_-_-_-_-_-_-_-_-_-_-_", "0123456789012345678901",
	} {
		got, ok := AppendBytes(nil, []byte(text))
		want, err := strict.DecodeString(text)
		wantOK := err == nil && !strings.ContainsAny(text, "\r\n")
		if ok != wantOK || ok && !bytes.Equal(got, want) {
			t.Errorf("AppendBytes(%q) = %x, %t; want %x, %t", text, got, ok, want, wantOK)
		}
	}
	plain := []byte("0123456789\xff\x00\x80 some more that takes several rounds")
	for n := range plain {
		text := AppendText([]byte("before "), plain[:n])
		if want := "before " + base64.RawURLEncoding.EncodeToString(plain[:n]); string(text) != want {
			t.Errorf("AppendText(%q) = %q, want %q", plain[:n], text, want)
		}
		if back, ok := AppendBytes([]byte("before "), text[len("before "):]); !ok || string(back) != "before "+string(plain[:n]) {
			t.Errorf("AppendBytes(%q) = %q, %t", text, back, ok)
		}
	}
}

func TestRotate(t *testing.T) {
	k := openKeys(t)
	start := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	first := k.Seal(nil, []byte("first"), nil, nil)
	id := k.ID("purpose", []byte("a"), nil, nil)
	derived := k.Derive("purpose")
	seen := map[byte]bool{first[0]: true}
	for i := 1; i < MaxKeys; i++ {
		if err := k.Rotate(start.Add(time.Duration(i) * time.Hour)); err != nil {
			t.Fatal(err)
		}
		if got, err := k.Open(nil, first, nil, nil); err != nil || string(got) != "first" {
			t.Fatalf("after %d rotations: %q, %v", i, got, err)
		}
		active, created := k.Active()
		if seen[active] || !created.Equal(start.Add(time.Duration(i)*time.Hour)) {
			t.Errorf("rotation %d: key %q of %v", i, active, created)
		}
		seen[active] = true
		if token := k.Seal(nil, nil, nil, nil); token[0] != active {
			t.Errorf("token begins with %q, the active key is %q", token[0], active)
		}
	}
	if k.Derive("purpose") == derived {
		t.Error("Derive gives what it gave before the rotation")
	}
	reopened, err := Open(k.path)
	if err != nil {
		t.Fatal(err)
	}
	for _, keys := range []*Keys{k, reopened} {
		if keys.ID("purpose", []byte("a"), nil, nil) != id {
			t.Error("an id changed with the rotation")
		}
		if _, err := keys.Open(nil, first, nil, nil); err != nil {
			t.Error("the oldest key is gone too early")
		}
	}
	if k.Derive("x") != reopened.Derive("x") {
		t.Error("Derive differs after reading the file again")
	}
	if err := k.Rotate(start); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Open(nil, first, nil, nil); !errors.Is(err, ErrToken) {
		t.Errorf("%d rotations keep a key for ever: %v", MaxKeys, err)
	}
	for range 2 * len(keyIDs) { // the ids come round
		if err := k.Rotate(start); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRotateWhileInUse(t *testing.T) {
	k := openKeys(t)
	var users sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		users.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				token := k.Seal(nil, []byte("plain"), []byte("1"), []byte("2"))
				if _, err := k.Open(nil, token, []byte("1"), []byte("2")); err != nil {
					t.Errorf("token %s: %v", token, err)
					return
				}
				k.ID("p", []byte("a"), nil, nil)
				k.Derive("p")
			}
		})
	}
	var rotators sync.WaitGroup
	for range 2 {
		rotators.Go(func() {
			for range MaxKeys/2 - 1 { // so few that no key is dropped: a user may be held up between Seal and Open
				if err := k.Rotate(time.Unix(1e9, 0)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	rotators.Wait()
	close(stop)
	users.Wait()
	if n := len(k.set.Load().stored); n != MaxKeys-1 {
		t.Errorf("%d keys after %d rotations", n, MaxKeys-2)
	}
}

// TestSalt: equal for equal data, whichever key seals.
func TestSalt(t *testing.T) {
	k := openKeys(t)
	a, b := k.Salt([]byte("a84b4c76e66710@pc33.example.com")), k.Salt([]byte("a84b4c76e66711@pc33.example.com"))
	if err := k.Rotate(time.Now()); err != nil {
		t.Fatal(err)
	}
	if a == b || a != k.Salt([]byte("a84b4c76e66710@pc33.example.com")) || a == openKeys(t).Salt([]byte("a84b4c76e66710@pc33.example.com")) {
		t.Errorf("salts %x and %x", a, b)
	}
}

func TestID(t *testing.T) {
	k := openKeys(t)
	ids := map[[IDLen]byte]string{}
	add := func(what string, id [IDLen]byte) {
		t.Helper()
		if other, dup := ids[id]; dup {
			t.Errorf("%s and %s have the id %s", what, other, id)
		}
		ids[id] = what
		if strings.Trim(string(id[:]), "abcdefghijklmnopqrstuvwxyz234567") != "" {
			t.Errorf("id %s", id)
		}
	}
	b := func(s string) []byte { return []byte(s) }
	add("a b c", k.ID("p", b("a"), b("b"), b("c")))
	add("ab - c", k.ID("p", b("ab"), nil, b("c")))
	add("- ab c", k.ID("p", nil, b("ab"), b("c")))
	add("c b a", k.ID("p", b("c"), b("b"), b("a")))
	add("abc", k.ID("p", b("abc"), nil, nil))
	add("other purpose", k.ID("q", b("a"), b("b"), b("c")))
	add("empty purpose", k.ID("", b("a"), b("b"), b("c")))
	add("long purpose", k.ID("a purpose that is longer than a block", b("a"), b("b"), b("c")))
	add("other keys", openKeys(t).ID("p", b("a"), b("b"), b("c")))
	first := k.ID("p", b("a"), b("b"), b("c"))
	if again := k.ID("p", b("a"), b("b"), b("c")); again != first {
		t.Errorf("equal input, two ids: %s, %s", first, again)
	}
}

func TestDerive(t *testing.T) {
	k := openKeys(t)
	a, again, b := k.Derive("a"), k.Derive("a"), k.Derive("b")
	if a != again || a == b || k.Derive("") == ([32]byte{}) {
		t.Error("Derive does not depend on the purpose, and on it alone")
	}
}

// FuzzToken holds that a token opens to what was sealed, with what it was bound to, and that nothing else opens.
func FuzzToken(f *testing.F) {
	f.Add([]byte("plain"), []byte("call-id"), []byte("tag"), []byte("x"), 3, byte('a'))
	f.Add([]byte{}, []byte{}, []byte{}, []byte{}, 0, byte(0))
	f.Add(bytes.Repeat([]byte{7}, 47), []byte("0123456789abcdef"), []byte("x"), []byte("0123456789abcde"), 30, byte('='))
	k := openKeys(f)
	f.Fuzz(func(t *testing.T, plain, ad1, ad2, other []byte, at int, c byte) {
		token := k.Seal(nil, plain, ad1, ad2)
		if got, err := k.Open(nil, token, ad1, ad2); err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("sealed %q, opened %q, %v", plain, got, err)
		}
		refuse := func(what string, token, ad1, ad2 []byte) {
			if got, err := k.Open(nil, token, ad1, ad2); err == nil || len(got) != 0 {
				t.Fatalf("%s: token %q opened to %q", what, token, got)
			}
		}
		at = int(uint(at) % uint(len(token)))
		altered := bytes.Clone(token)
		if altered[at] = c; c != token[at] {
			refuse("altered", altered, ad1, ad2)
		}
		refuse("truncated", token[:at], ad1, ad2)
		refuse("extended", append(bytes.Clone(token), c), ad1, ad2)
		refuse("foreign", other, ad1, ad2)
		if !bytes.Equal(other, ad1) {
			refuse("other ad1", token, other, ad2)
		}
		if !bytes.Equal(other, ad2) {
			refuse("other ad2", token, ad1, other)
		}
		if !bytes.Equal(ad1, ad2) {
			refuse("swapped", token, ad2, ad1)
		}
		second := k.Seal(nil, other, ad1, ad2)
		if !bytes.Equal(plain, other) {
			n := min(at, len(second))
			if mixed := append(bytes.Clone(token[:n]), second[n:]...); !bytes.Equal(mixed, token) && !bytes.Equal(mixed, second) {
				refuse("mixed", mixed, ad1, ad2)
			}
		}
	})
}

package tarfile_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/proget-go/ha/internal/tarfile"
)

var limits = tarfile.Limits{Expanded: 1 << 20, Entries: 50}

// entry makes what archive/tar would not write: a header of any type, size and
// name, and its content.
func entry(kind byte, name string, size int64, content string) string {
	h := make([]byte, 512)
	copy(h, name)
	copy(h[100:], "0000644\x000000000\x000000000\x00")
	binary.BigEndian.PutUint64(h[128:], uint64(size))
	h[124] = 0x80 // the size is binary
	if size < 0 {
		h[124], h[125], h[126], h[127] = 0xff, 0xff, 0xff, 0xff
	}
	copy(h[136:], "00000000000\x00        ")
	h[156] = kind
	copy(h[257:], "ustar\x0000")
	sum := 0
	for _, b := range h {
		sum += int(b)
	}
	copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
	return string(h) + content + strings.Repeat("\x00", -len(content)&511)
}

func file(name, content string) string {
	return entry(tar.TypeReg, name, int64(len(content)), content)
}

// record makes what an extended header holds: it begins with its own length.
func record(text string) string {
	for n := len(text); ; n++ {
		if r := fmt.Sprintf("%d %s\n", n, text); len(r) == n {
			return r
		}
	}
}

// sparse makes a file that has nothing but a hole.
func sparse(name string, size int64) string {
	records := record("GNU.sparse.major=0") + record("GNU.sparse.minor=1") + record("GNU.sparse.numblocks=1") +
		record(fmt.Sprintf("GNU.sparse.size=%d", size)) + record(fmt.Sprintf("GNU.sparse.map=%d,0", size))
	return entry(tar.TypeXHeader, "x", int64(len(records)), records) + entry(tar.TypeReg, name, 0, "")
}

// gzipped compresses an archive of entries, with its end.
func gzipped(t testing.TB, entries ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := io.WriteString(z, strings.Join(entries, "")+strings.Repeat("\x00", 1024))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return b.Bytes()
}

func walk(t testing.TB, archive []byte, visit func(*tar.Header, io.Reader) error) error {
	return tarfile.Walk(t.Context(), bytes.NewReader(archive), int64(len(archive)), limits, visit)
}

func skip(*tar.Header, io.Reader) error { return nil }

func drain(_ *tar.Header, r io.Reader) error {
	_, err := io.Copy(io.Discard, r)
	return err
}

func TestWalk(t *testing.T) {
	t.Parallel()
	global := record("comment=no path")
	archive := gzipped(t, entry(tar.TypeXGlobalHeader, "/tmp/GlobalHead.1", int64(len(global)), global),
		entry(tar.TypeDir, "a/", 0, ""), file("a/b", "content"), entry(tar.TypeCont, "a/c", 4, "more"),
		entry(tar.TypeSymlink, "a/l", 0, ""), entry('Z', "./z", 1, "z"), sparse("a/s", 3), file(`a\w`, ""), file("...x/[..y]", ""))
	var got []string
	collect := func(h *tar.Header, r io.Reader) error {
		text, err := io.ReadAll(r)
		got = append(got, fmt.Sprintf("%c %s %q", h.Typeflag, h.Name, text))
		return err
	}
	want := []string{`5 a/ ""`, `0 a/b "content"`, `7 a/c "more"`, `2 a/l ""`, `Z ./z "z"`, `0 a/s "\x00\x00\x00"`, `0 a\w ""`, `0 ...x/[..y] ""`}
	require.NoError(t, walk(t, archive, collect))
	require.Equal(t, want, got)
	require.NoError(t, walk(t, archive, skip))
	half := []byte(file("a", "1"))
	require.NoError(t, walk(t, append(members(t, half), gzipped(t)...), skip), "gzip in several members")
	stop := errors.New("enough")
	require.Equal(t, stop, walk(t, archive, func(*tar.Header, io.Reader) error { return stop }))
}

// members compresses each piece of a stream for itself.
func members(t testing.TB, pieces ...[]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, piece := range pieces {
		z := gzip.NewWriter(&b)
		_, err := z.Write(piece)
		require.NoError(t, err)
		require.NoError(t, z.Close())
	}
	return b.Bytes()
}

// TestLimits: whatever it is that takes room, it counts, and so does what visit does
// not look at.
func TestLimits(t *testing.T) {
	t.Parallel()
	full := limits.Expanded - 1024 - 512 // without the ends of the archive and its header
	many := strings.Repeat(file("a", ""), limits.Entries)
	require.NoError(t, walk(t, gzipped(t, file("a", strings.Repeat("x", int(full)))), drain), "as much as may be")
	require.NoError(t, walk(t, gzipped(t, many), drain))
	zeros := func(n int64) string { return strings.Repeat("\x00", int(n)) }
	long := record("comment=" + strings.Repeat("x", 100_000))
	for name, tc := range map[string]struct {
		archive []byte
		want    error
	}{
		"file":           {gzipped(t, file("a", zeros(full+512))), tarfile.ErrTooLarge},
		"files":          {gzipped(t, file("a", zeros(full/2)), file("b", zeros(full/2))), tarfile.ErrTooLarge},
		"contiguous":     {gzipped(t, entry(tar.TypeCont, "a", full+512, zeros(full+512))), tarfile.ErrTooLarge},
		"unknown":        {gzipped(t, entry('Z', "a", full+512, zeros(full+512))), tarfile.ErrTooLarge},
		"headers":        {gzipped(t, strings.Repeat(entry(tar.TypeXHeader, "x", int64(len(long)), long), 11), file("a", "")), tarfile.ErrTooLarge},
		"global headers": {gzipped(t, strings.Repeat(entry(tar.TypeXGlobalHeader, "x", int64(len(long)), long), 11)), tarfile.ErrTooLarge},
		"padding":        {gzipped(t, file("a", "1"), zeros(full)), tarfile.ErrTooLarge},
		"second archive": {gzipped(t, file("a", "1"), zeros(1024), file("b", zeros(full))), tarfile.ErrTooLarge},
		"claimed":        {gzipped(t, entry(tar.TypeCont, "a", 1<<40, "")), tarfile.ErrTooLarge},
		"hole":           {gzipped(t, sparse("a", limits.Expanded+1)), tarfile.ErrTooLarge},
		"holes":          {gzipped(t, sparse("a", limits.Expanded/2+1), sparse("b", limits.Expanded/2+1)), tarfile.ErrTooLarge},
		"overflow":       {gzipped(t, file("a", "1"), sparse("b", math.MaxInt64)), tarfile.ErrTooLarge},
		"below nothing":  {gzipped(t, entry(tar.TypeDir, "a", -1<<40, ""), sparse("b", limits.Expanded+1)), tarfile.ErrNotTar},
		"entries":        {gzipped(t, many, file("a", "")), tarfile.ErrTooManyEntries},
		"only described": {gzipped(t, strings.Repeat(entry(tar.TypeXGlobalHeader, "x", 0, ""), limits.Entries+1)), tarfile.ErrTooManyEntries},
	} {
		require.ErrorIs(t, walk(t, tc.archive, skip), tc.want, name)
		require.ErrorIs(t, walk(t, tc.archive, drain), tc.want, name)
	}
}

func TestBroken(t *testing.T) {
	t.Parallel()
	good := gzipped(t, file("a", strings.Repeat("x", 5000)))
	long := gzipped(t, file("a", "1"), strings.Repeat("\x00", 1<<19)) // the rest is much longer than what was read ahead
	for name, archive := range map[string][]byte{
		"empty":             nil,
		"text":              []byte("junk"),
		"no tar":            members(t, bytes.Repeat([]byte("junk"), 200)),
		"cut off":           good[:len(good)/2],
		"without its sum":   good[:len(good)-8],
		"wrong sum":         changed(good, len(good)-8),
		"wrong length":      changed(good, len(good)-4),
		"wrong sum, late":   changed(long, len(long)-8),
		"something after":   append(bytes.Clone(good), "junk"...),
		"content is no end": members(t, []byte(entry(tar.TypeReg, "a", 5000, "1"))),
		"header cut off":    members(t, []byte(file("a", ""))[:300]),
	} {
		require.ErrorIs(t, walk(t, archive, skip), tarfile.ErrNotTar, name)
		require.ErrorIs(t, walk(t, archive, drain), tarfile.ErrNotTar, name)
		_ = walk(t, archive, func(_ *tar.Header, r io.Reader) error {
			_, err := io.Copy(io.Discard, r)
			require.True(t, err == nil || errors.Is(err, tarfile.ErrNotTar), "%s: visit is told, too", name)
			return nil
		})
	}
}

func changed(file []byte, at int) []byte {
	file = bytes.Clone(file)
	file[at] ^= 1
	return file
}

func TestNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"/etc/passwd", "../x", "a/../../x", "a/..", `a\..\..\x`, `\x`, "a/.. /x", "a/... ", `C:\Windows\x`, "C:x", "a\nb", "a\x7f", "\xff"} {
		require.False(t, tarfile.Safe(name), name)
		for _, kind := range []byte{tar.TypeReg, tar.TypeDir, tar.TypeSymlink, 'Z'} {
			require.ErrorIs(t, walk(t, gzipped(t, entry(kind, name, 0, "")), skip), tarfile.ErrUnsafeName, "%c %q", kind, name)
		}
	}
}

// failing is a disk that breaks at an offset.
type failing struct {
	io.ReaderAt
	at  int64
	err error
}

func (f failing) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > f.at {
		return 0, f.err
	}
	return f.ReaderAt.ReadAt(p, off)
}

// noise makes an archive that is not read at once.
func noise(t testing.TB) []byte {
	content := make([]byte, 100_000)
	_, _ = rand.NewChaCha8([32]byte{}).Read(content)
	return gzipped(t, file("a", string(content)), file("b", string(content)))
}

// TestStorageFails: the archive is not to blame, whatever visit makes of the error.
func TestStorageFails(t *testing.T) {
	t.Parallel()
	archive, broken := noise(t), errors.New("the disk is broken")
	for _, at := range []int64{0, 5000, 150_000, int64(len(archive)) - 1} {
		for _, visit := range []func(*tar.Header, io.Reader) error{skip, drain, func(_ *tar.Header, r io.Reader) error {
			if _, err := io.Copy(io.Discard, r); err != nil {
				return errors.New("the archive is damaged")
			}
			return nil
		}} {
			err := tarfile.Walk(t.Context(), failing{bytes.NewReader(archive), at, broken}, int64(len(archive)), limits, visit)
			require.ErrorIs(t, err, broken)
			require.NotErrorIs(t, err, tarfile.ErrNotTar)
		}
	}
}

func TestContextEnds(t *testing.T) {
	t.Parallel()
	archive := noise(t)
	ctx, cancel := context.WithCancel(t.Context())
	visited := 0
	err := tarfile.Walk(ctx, bytes.NewReader(archive), int64(len(archive)), limits, func(*tar.Header, io.Reader) error {
		visited++
		cancel()
		return nil
	})
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, tarfile.ErrNotTar)
	require.Equal(t, 1, visited)
}

// FuzzWalk: no archive makes Walk panic or exceed its limits, and what it takes is
// whole, compressed by a stranger or not.
func FuzzWalk(f *testing.F) {
	f.Add([]byte(file("a", "1")+entry(tar.TypeCont, "b/c", 4, "more")+entry(tar.TypeDir, "d", -1, "")), true)
	f.Add([]byte(sparse("a", 600)+entry('Z', "../x", 1<<40, "")), true)
	f.Add(gzipped(f, file("a", "1")), false)
	f.Fuzz(func(t *testing.T, archive []byte, plain bool) {
		if plain {
			archive = members(t, archive)
		}
		left := limits
		err := walk(t, archive, func(h *tar.Header, r io.Reader) error {
			n, err := io.Copy(io.Discard, r)
			left.Entries--
			left.Expanded -= n
			if left.Entries < 0 || left.Expanded < 0 || n > h.Size || !tarfile.Safe(h.Name) {
				t.Fatalf("%q: %d of %d bytes", h.Name, n, h.Size)
			}
			return err
		})
		if err == nil {
			z, err := gzip.NewReader(bytes.NewReader(archive))
			require.NoError(t, err)
			n, err := io.Copy(io.Discard, z)
			require.NoError(t, err)
			require.LessOrEqual(t, n, limits.Expanded)
			return
		}
		for _, known := range []error{tarfile.ErrNotTar, tarfile.ErrTooLarge, tarfile.ErrTooManyEntries, tarfile.ErrUnsafeName} {
			if errors.Is(err, known) {
				return
			}
		}
		t.Fatal(err)
	})
}

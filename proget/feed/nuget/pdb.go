package nuget

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"strings"
)

// errNotPortable is the error for a file that is not a portable PDB.
var errNotPortable = errors.New("not a portable PDB")

// Bounds of what is read to find the ID of a PDB.
const (
	maxPDBVersion = 255     // bytes of the version string, by ECMA-335 II.24.2.1
	maxPDBStreams = 16      // there are six
	maxPDBSeek    = 1 << 20 // bytes before the #Pdb stream, which compilers write first
)

// pdbID returns the ID of a portable PDB: 16 bytes formatted as a GUID of 32
// hexadecimal digits in lower case. It reads no more of the file than it needs.
//
// The file is a metadata root (ECMA-335 II.24.2.1) whose stream #Pdb begins with the ID
// (Portable PDB v1.0, "#Pdb stream").
func pdbID(r io.Reader) (string, error) {
	in := &counting{r: r}
	var root struct {
		Signature    [4]byte
		Major, Minor uint16
		Reserved     uint32
		Length       uint32
	}
	if err := in.read(&root); err != nil || string(root.Signature[:]) != "BSJB" || root.Length > maxPDBVersion+1 {
		return "", in.why(err)
	}
	if err := in.skip(int64(root.Length)); err != nil {
		return "", in.why(err)
	}
	var streams struct{ Flags, Count uint16 }
	if err := in.read(&streams); err != nil || streams.Count > maxPDBStreams {
		return "", in.why(err)
	}
	start := int64(-1)
	for range streams.Count {
		var at struct{ Offset, Size uint32 }
		if err := in.read(&at); err != nil {
			return "", in.why(err)
		}
		name, err := in.name()
		if err != nil {
			return "", in.why(err)
		}
		if name == "#Pdb" {
			start = int64(at.Offset)
		}
	}
	if start < in.n || start > maxPDBSeek {
		return "", errNotPortable
	}
	var guid [16]byte
	if err := in.skip(start - in.n); err != nil {
		return "", in.why(err)
	}
	if err := in.read(&guid); err != nil {
		return "", in.why(err)
	}
	return guidText(guid), nil
}

// guidText formats a GUID without hyphens. Its first three parts are stored in
// little-endian order.
func guidText(g [16]byte) string {
	text := []byte{g[3], g[2], g[1], g[0], g[5], g[4], g[7], g[6]}
	return hex.EncodeToString(append(text, g[8:]...))
}

// counting reads little-endian values and counts the bytes read.
type counting struct {
	r io.Reader
	n int64
}

func (c *counting) read(v any) error {
	c.n += int64(binary.Size(v))
	return binary.Read(c.r, binary.LittleEndian, v)
}

func (c *counting) skip(n int64) error {
	c.n += n
	_, err := io.CopyN(io.Discard, c.r, n)
	return err
}

// name reads a stream's name: at most 32 bytes, zero-terminated and padded to a
// multiple of four.
func (c *counting) name() (string, error) {
	var b strings.Builder
	for b.Len() < 32 {
		var four [4]byte
		if err := c.read(&four); err != nil {
			return "", err
		}
		text, _, ended := bytes.Cut(four[:], []byte{0})
		b.Write(text)
		if ended {
			return b.String(), nil
		}
	}
	return "", errNotPortable
}

// why returns errNotPortable if the file is too short or of another kind, and err if it
// could not be read.
func (c *counting) why(err error) error {
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errNotPortable
	}
	return err
}

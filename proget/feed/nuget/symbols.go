package nuget

import (
	"archive/zip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"strconv"
	"strings"

	"github.com/proget-go/ha/proget"
	"github.com/proget-go/ha/proget/feed"
)

// symbolsMount is the first segment of a symbol server's URLs:
// /symbols/{feed}/{file}/{key}/{file}, as debuggers ask for them ("Simple Symbol
// Query Protocol", docs/specs/SSQP_Key_Conventions.md of dotnet/symstore).
const symbolsMount = "symbols"

// symbolsType marks the manifest of a .snupkg.
const symbolsType = "SymbolsPackage"

// maxPDBs bounds the bytes of all PDBs in a symbol package together, as they are
// decompressed when it is pushed.
const maxPDBs = 1 << 30

// symbolFiles is what the database stores of a .snupkg: its entries by the keys that
// debuggers request.
type symbolFiles struct {
	PDBs map[string]string `json:"pdbs"`
}

// inspectSymbols describes a symbol package, which joins the package that it belongs
// to, as on nuget.org. It contains portable PDBs, each found by its file name and ID.
func (p *nupkg) inspectSymbols(ctx context.Context, m *metadata) (*feed.Manifest, error) {
	pdbs, err := p.pdbs()
	if err != nil {
		return nil, err
	}
	files := symbolFiles{PDBs: make(map[string]string)}
	var keys []string
	for _, i := range pdbs {
		name := p.Names[i]
		id, err := pdb(ctx, p.File[i])
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.Is(err, errDamagedPDB):
			return nil, p.invalid(err, "%.200q in the symbol package cannot be decompressed: the package is damaged.", name)
		case err != nil:
			return nil, p.invalid(err, "%.200q in the symbol package is not a portable PDB: build with <DebugType>portable</DebugType>.", name)
		}
		key := symbolKey(path.Base(name), id+"ffffffff")
		if len(key) > feed.MaxAlias {
			return nil, proget.Errorf(proget.ErrInvalid, "The name of %.200q in the symbol package is too long.", name)
		}
		if _, twice := files.PDBs[key]; !twice { // the same file for several frameworks
			files.PDBs[key] = name
			keys = append(keys, key)
		}
	}
	v, _ := parseVersion(m.Version) // parseNuspec has checked it
	return &feed.Manifest{Name: m.ID, Version: m.Version, Prerelease: v.prerelease(), Role: feed.Extra,
		FileName: nameKey(m.ID) + "." + v.key() + ".snupkg", Aliases: keys, FileData: files}, nil
}

// pdbs returns the indexes of the PDBs. It bounds what is decompressed to inspect them,
// because entries may share their bytes.
func (p *nupkg) pdbs() (found []int, err error) {
	left := uint64(maxPDBs)
	for i, name := range p.Names {
		if !hasSuffixFold(name, ".pdb") {
			continue
		}
		size := p.File[i].UncompressedSize64
		if size > left {
			return nil, proget.Errorf(proget.ErrInvalid, "The .pdb files of the symbol package are too large: together they may take %d MiB.", maxPDBs>>20)
		}
		if left -= size; len(found) == feed.MaxAliases {
			return nil, proget.Errorf(proget.ErrInvalid, "The symbol package holds more than %d .pdb files.", feed.MaxAliases)
		}
		found = append(found, i)
	}
	if len(found) == 0 {
		return nil, proget.Errorf(proget.ErrInvalid, "The symbol package holds no .pdb file.")
	}
	return found, nil
}

// errDamagedPDB is the error for a PDB that is not what its checksum says.
var errDamagedPDB = errors.New("damaged PDB")

// pdb returns the ID of a PDB, which it reads to the end so that its checksum is
// verified.
func pdb(ctx context.Context, f *zip.File) (id string, err error) {
	r, err := f.Open()
	if err != nil {
		return "", err
	}
	defer r.Close()
	if id, err = pdbID(r); err != nil {
		return "", err
	}
	for err == nil && ctx.Err() == nil {
		_, err = io.CopyN(io.Discard, r, 1<<20)
	}
	if err != nil && err != io.EOF {
		return "", fmt.Errorf("%w: %w", errDamagedPDB, err)
	}
	return id, ctx.Err()
}

// symbolKey returns the alias of a PDB. Debuggers differ in their use of upper and
// lower case.
func symbolKey(file, id string) string { return strings.ToLower(file + "/" + id) }

// symbols serves a PDB as a symbol server does, from the newest symbol package that
// contains it.
func (h *handler) symbols(w http.ResponseWriter, r *feed.Request, key string) error {
	v, file, err := h.services.Packages.Alias(r.Context(), r.Feed, key)
	if err != nil {
		return err
	}
	if err := feed.CheckAllowed(v); err != nil {
		return err
	}
	var files symbolFiles
	if err := json.Unmarshal(file.Data, &files); err != nil {
		return fmt.Errorf("read what is known of %s: %w", file.Name, err)
	}
	content, err := h.services.Files.Open(r.Context(), file)
	if err != nil {
		return err
	}
	defer content.Close()
	p, err := openPackage(content, content.Size())
	if err != nil {
		return damaged(v, err)
	}
	for i, name := range p.Names {
		if name == files.PDBs[key] {
			return h.servePDB(w, r, p.File[i], file.Digests[proget.SHA256]+"-"+strconv.Itoa(i))
		}
	}
	return damaged(v, fmt.Errorf("%s lacks %s", file.Name, files.PDBs[key]))
}

// damaged returns the error for a file that was accepted but can no longer be read: not
// the client's fault.
func damaged(v *proget.Version, err error) error {
	if errors.Is(err, proget.ErrInvalid) {
		return fmt.Errorf("read a file of %s %s: %s", v.Name, v.Key, err)
	}
	return err
}

// servePDB decompresses an entry while sending it, and verifies its checksum before its
// last bytes.
func (h *handler) servePDB(w http.ResponseWriter, r *feed.Request, f *zip.File, tag string) error {
	in, err := f.Open()
	if err != nil {
		return fmt.Errorf("open %s: %w", f.Name, err)
	}
	defer in.Close()
	header := w.Header()
	header.Set("ETag", `"`+tag+`"`)
	header.Set("Cache-Control", "no-cache")
	if strings.Contains(r.Header.Get("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	header.Set("Content-Type", "application/octet-stream")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Length", strconv.FormatUint(f.UncompressedSize64, 10))
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return nil
	}
	if err := sendVerified(w, in, int64(f.UncompressedSize64)); err != nil {
		h.services.Logger.WarnContext(r.Context(), "a PDB was cut short", "file", f.Name, "error", err)
		panic(http.ErrAbortHandler) // an incomplete response must not look complete
	}
	return nil
}

// sendVerified copies size bytes, the last of them only after the reader has confirmed
// by io.EOF that all are right.
func sendVerified(w io.Writer, in io.Reader, size int64) error {
	last := make([]byte, min(size, 32<<10))
	if _, err := io.CopyN(w, in, size-int64(len(last))); err != nil {
		return err
	}
	if _, err := io.ReadFull(in, last); err != nil {
		return err
	}
	if _, err := io.ReadFull(in, make([]byte, 1)); err != io.EOF {
		return fmt.Errorf("%d bytes are not all, or not right: %v", size, err)
	}
	_, err := w.Write(last)
	return err
}

// parseSymbols parses {file}/{key}/{file}.
func parseSymbols(method, path string) route {
	segments, ok := split(path)
	if !ok || len(segments) != 3 || !strings.EqualFold(segments[0], segments[2]) || method != http.MethodGet && method != http.MethodHead {
		return route{}
	}
	return route{action: symbolFile, file: symbolKey(segments[0], segments[1])}
}

// Package blame tells who is to blame for a stored file that cannot be read as what it
// should be: its author, or storage that failed meanwhile.
package blame

import "io"

// A ReaderAt remembers whether reading failed, so that its user does not blame an
// archive's author for a broken disk.
type ReaderAt struct {
	io.ReaderAt
	err error
}

// ReadAt implements [io.ReaderAt]. Only a plain io.EOF is the end of the file; a lost
// connection to storage has one in its error's chain.
func (r *ReaderAt) ReadAt(p []byte, off int64) (int, error) {
	n, err := r.ReaderAt.ReadAt(p, off)
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}

// Err returns the last error of reading the bytes, for which the file is not to blame,
// or nil.
func (r *ReaderAt) Err() error { return r.err }

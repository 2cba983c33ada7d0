package share_test

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/proget-go/ha/storage/share"
)

func Example() {
	dir, _ := os.MkdirTemp("", "share")
	defer os.RemoveAll(dir)

	bucket, err := share.OpenBucket(dir)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer bucket.Close()
	ctx := context.Background()
	if err := bucket.WriteAll(ctx, "notes/one", []byte("hello"), nil); err != nil {
		fmt.Println(err)
		return
	}
	content, err := bucket.ReadAll(ctx, "notes/one")
	fmt.Println(string(content), err)

	var sweep share.Sweeper
	fmt.Println(bucket.As(&sweep))
	removed, err := sweep(ctx, 24*time.Hour)
	fmt.Println(removed, err)
	// Output:
	// hello <nil>
	// true
	// 0 <nil>
}

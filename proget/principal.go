package proget

// A Task is something a principal may be allowed to do, named as on ProGet's permission
// page.
type Task string

// The built-in tasks. Each includes the ones before it.
const (
	TaskNone       Task = ""           // anybody may do it, such as signing in
	TaskView       Task = "view"       // view and download packages
	TaskPublish    Task = "publish"    // add packages
	TaskManage     Task = "manage"     // unlist or delete versions, change a feed
	TaskAdminister Task = "administer" // everything, everywhere
)

// Rank orders the tasks: a task includes all tasks of smaller rank. It is 0 for an
// unknown task.
func (t Task) Rank() int {
	switch t {
	case TaskView:
		return 1
	case TaskPublish:
		return 2
	case TaskManage:
		return 3
	case TaskAdminister:
		return 4
	}
	return 0
}

// A Principal is the sender of a request. The zero value is anonymous.
type Principal struct {
	User string // the user's name; "" if anonymous or a key without a user
	Key  string // the API key's display name; "" if none was used
}

// Anonymous reports whether nobody was authenticated.
func (p Principal) Anonymous() bool { return p.User == "" && p.Key == "" }

// String returns the name shown in logs and audit entries.
func (p Principal) String() string {
	switch {
	case p.User != "":
		return p.User
	case p.Key != "":
		return "API key " + p.Key
	}
	return "Anonymous"
}

// Package registry reads the policy that group policy writes into the Windows registry, and tells when it changes.
//
// Failure rules: only HKEY_LOCAL_MACHINE is read, in the 64-bit view, where an administrator alone may write; what a user
// sets in HKEY_CURRENT_USER is never looked at. A key that cannot be read, or that holds more than a policy can be, is an error
// and not a policy that is gone. A key that is not there, or has no values, as group policy leaves it behind, sets
// nothing: fs.ErrNotExist. No handle and no goroutine outlives the context of a watch.
package registry

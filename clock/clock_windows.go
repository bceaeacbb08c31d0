package clock

import (
	"crypto/sha256"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/windows/registry"
)

// https://learn.microsoft.com/windows/win32/api/realtimeapiset/nf-realtimeapiset-queryinterrupttime
// https://learn.microsoft.com/windows/win32/api/realtimeapiset/nf-realtimeapiset-queryunbiasedinterrupttime
// https://learn.microsoft.com/windows/win32/api/sysinfoapi/nf-sysinfoapi-getsystemtimeadjustment
//sys	queryInterruptTime(units *uint64) = kernelbase.QueryInterruptTime
//sys	queryUnbiasedInterruptTime(units *uint64) (err error) = kernel32.QueryUnbiasedInterruptTime
//sys	getSystemTimeAdjustment(adjustment *uint32, increment *uint32, disabled *bool) (err error) = kernel32.GetSystemTimeAdjustment

// unit is that of the system's times.
const unit = 100 * time.Nanosecond

// Now returns the time since boot, time asleep included: the interrupt time. A shutdown for a fast start is a sleep: the
// kernel goes on where it was.
func Now() time.Duration {
	var units uint64
	queryInterruptTime(&units)
	if units == 0 {
		panic("clock: the interrupt time stands still")
	}
	return time.Duration(units) * unit
}

// Asleep returns how much of the time since boot the machine slept: the unbiased interrupt time leaves that out.
func Asleep() time.Duration {
	var units uint64
	if err := queryUnbiasedInterruptTime(&units); err != nil {
		panic("clock: reading the time awake: " + err.Error())
	}
	return max(Now()-time.Duration(units)*unit, 0)
}

// bootCount is where every process reads how often this Windows was booted: KUSER_SHARED_DATA.BootId, since Windows 10.
// https://learn.microsoft.com/windows-hardware/drivers/ddi/ntddk/ns-ntddk-kuser_shared_data
const bootCount = 0x7ffe0000 + 0x2c4

// BootID returns a name for this boot in the form of a UUID: a hash of the name of this Windows and of the number of its
// boots. Everybody on this machine can work it out, nobody can change it, and nothing is kept for it. Where boots are not
// counted all have one name, which is stricter than one that changes within a boot: what was seen before it still counts.
func BootID() (string, error) {
	k, err := registry.OpenKey(registry.LOCAL_MACHINE, `SOFTWARE\Microsoft\Cryptography`, registry.QUERY_VALUE|registry.WOW64_64KEY)
	if err != nil {
		return "", fmt.Errorf("clock: reading the name of this Windows: %w", err)
	}
	defer k.Close()
	machine, _, err := k.GetStringValue("MachineGuid")
	if err != nil {
		return "", fmt.Errorf("clock: reading the name of this Windows: %w", err)
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "stepaway boot %d of %s", sharedUint32(bootCount), machine))
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16]), nil
}

// sharedUint32 reads what the kernel shows every process at an address that never changes.
func sharedUint32(address uintptr) uint32 {
	return *(*uint32)(*(*unsafe.Pointer)(unsafe.Pointer(&address))) // no memory of Go, so no pointer to it is made from a number elsewhere
}

// Synced reports whether something adjusts the wall clock in small steps, as the system's time service does while it
// keeps in step. One that sets it now and then is not that. Unknown is false.
func Synced() bool {
	var adjustment, increment uint32
	disabled := true
	return getSystemTimeAdjustment(&adjustment, &increment, &disabled) == nil && !disabled
}

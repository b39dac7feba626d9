//! Where the loops run.

use std::error::Error;
use std::fs;

use nix::errno::Errno;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// The number of a CPU, as the kernel has it.
pub type Cpu = usize;

/// The CPUs that the process may use.
pub fn allowed() -> Result<Vec<Cpu>, Errno> {
    let set = sched_getaffinity(Pid::from_raw(0))?;
    Ok((0..CpuSet::count()).filter(|&cpu| set.is_set(cpu).unwrap_or(false)).collect())
}

/// Pins the calling thread.
pub fn pin_to(cpu: Cpu) -> Result<(), Errno> {
    let mut one = CpuSet::new();
    one.set(cpu)?;
    sched_setaffinity(Pid::from_raw(0), &one)
}

/// Pins the process to the last CPU that it may use, which interrupts use the least. Returns it, and another for
/// a second thread if there is one.
pub fn pin() -> Result<(Cpu, Option<Cpu>), Box<dyn Error>> {
    let mut allowed = allowed()?;
    let cpu = allowed.pop().ok_or("no CPU to run on")?;
    pin_to(cpu)?;
    Ok((cpu, allowed.pop()))
}

/// The name that the kernel has for the processor.
pub fn name() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    format!("{}, {}", model.map_or("unknown processor", |(_, name)| name), std::env::consts::ARCH)
}

//! What is measured, and what is wanted of it. A new row is one line of [`cases`].

use std::ffi::CStr;
use std::fmt;

use crate::cpu::Cpu;
use crate::loops::*;

/// A row that is run in every round.
pub struct Case {
    /// Its name in the report.
    pub id: String,
    /// The heading that it stands under.
    pub section: &'static str,
    /// What the table calls it.
    pub title: String,
    /// Runs it so many times, or why that cannot be.
    pub run: Result<Run, String>,
    /// Whether its instructions can be counted: not those of strings, rings and threads.
    pub counts: bool,
}

/// Runs so many operations, and returns the nanoseconds that they took.
pub type Run = Box<dyn Fn(usize) -> f64>;

/// A figure that is wanted. It is shown with what was seen; missing it fails nothing, since machines differ.
pub struct Goal {
    /// The row that it is about.
    pub case: String,
    /// What is wanted of it.
    pub wanted: Wanted,
}

/// Compared with another row of the same run, or with a number.
pub enum Wanted {
    /// At most so many times the other row.
    AtMostTimes(f64, String),
    /// At least so many times as fast as the other row.
    TimesAsFast(f64, String),
    /// At most so much, in the row's unit.
    AtMost(f64),
}

impl Wanted {
    /// The row that it compares with.
    pub fn reference(&self) -> Option<&str> {
        match self {
            Wanted::AtMostTimes(_, reference) | Wanted::TimesAsFast(_, reference) => {
                Some(reference)
            }
            Wanted::AtMost(_) => None,
        }
    }

    /// From the row's value, or its ratio to the other row: what was seen in the terms of the goal, and whether
    /// that meets it.
    pub fn judge(&self, seen: f64) -> (f64, bool) {
        match *self {
            Wanted::AtMostTimes(limit, _) | Wanted::AtMost(limit) => (seen, seen <= limit),
            Wanted::TimesAsFast(factor, _) => (1.0 / seen, 1.0 / seen >= factor),
        }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Wanted::AtMostTimes(factor, _) => write!(f, "at most {factor} times"),
            Wanted::TimesAsFast(factor, _) => write!(f, "{factor} times as fast as"),
            Wanted::AtMost(limit) => write!(f, "at most {limit}"),
        }
    }
}

/// Bytes of locals of the functions that are sliced.
pub const DEPTHS: [usize; 5] = [64, 1 << 10, 16 << 10, 256 << 10, 1 << 20];

/// From this depth on the copy is one string instruction, whose work no count of instructions shows.
const STRINGS: usize = 2 << 10;

/// How many contexts the rings have.
pub const RINGS: [usize; 7] = [10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000];

/// The ring whose memory is held to a limit.
pub const MILLION: usize = 1_000_000;

/// "64 B", "16 KiB", "1 MiB".
pub fn bytes(size: usize) -> String {
    match size {
        0..1024 => format!("{size} B"),
        1024..0x10_0000 => format!("{} KiB", size >> 10),
        _ => format!("{} MiB", size >> 20),
    }
}

/// The headings that charts refer to.
pub const MASKED: &str = "swap, signal mask kept";
/// As [`MASKED`].
pub const MASKLESS: &str = "swap, no signal mask";
/// As [`MASKED`].
pub const CREATE: &str = "create, resume, come back";

/// Where a peer that is absent would come from.
fn absent(peer: &str) -> String {
    match peer {
        "fcontext" => "absent: libboost-context-dev is not installed".to_owned(),
        "pth" => "absent: libpth20 is not installed".to_owned(),
        _ => format!("absent: {}=folder of its sources", peer.to_uppercase()),
    }
}

struct Cases(Vec<Case>);

impl Cases {
    fn push(&mut self, section: &'static str, id: &str, title: &str, run: Result<Run, String>) {
        let (id, title) = (id.to_owned(), title.to_owned());
        self.0.push(Case { id, section, title, run, counts: true });
    }

    fn add(
        &mut self,
        section: &'static str,
        id: &str,
        title: &str,
        run: impl Fn(usize) -> f64 + 'static,
    ) {
        self.push(section, id, title, Ok(Box::new(run)));
    }

    /// The functions of POSIX of a peer that may be absent.
    fn posix(
        &mut self,
        section: &'static str,
        id: &str,
        title: &str,
        peer: Peer,
        run: impl Fn(usize) -> f64 + 'static,
    ) {
        let run =
            if is_present(peer) { Ok(Box::new(run) as Run) } else { Err(absent("libucontext")) };
        self.push(section, id, title, run);
    }

    /// The loop of a peer that may be absent, over so many bytes of locals.
    fn peer(
        &mut self,
        section: &'static str,
        id: &str,
        title: &str,
        (peer, what): (&CStr, &CStr),
        locals: usize,
    ) {
        let run = match find(peer, what) {
            Some(run) => Ok(Box::new(move |n| run(locals, n)) as Run),
            None => Err(absent(peer.to_str().expect("a peer's name is ASCII"))),
        };
        self.push(section, id, title, run);
    }

    /// In two threads at once, the time of each.
    fn at_once(
        &mut self,
        second_cpu: Option<Cpu>,
        id: &str,
        title: &str,
        run: impl Fn(usize) -> f64 + Sync + 'static,
    ) {
        let run = second_cpu
            .map(|cpu| Box::new(move |n| at_once(&run, cpu, n)) as Run)
            .ok_or("absent: there is one CPU only".to_owned());
        self.push("two threads at once, time of each", &format!("threads-{id}"), title, run);
        self.uncounted();
    }

    /// For the row just added.
    fn uncounted(&mut self) {
        self.0.last_mut().expect("a row was added").counts = false;
    }
}

/// The rows but the rings, in the order of the table. Two threads need the number of a second CPU.
pub fn cases(second_cpu: Option<Cpu>) -> Vec<Case> {
    let mut cases = Cases(Vec::new());

    cases.add(MASKED, "glibc", "glibc swapcontext", |n| posix_swap(Peer::Glibc, n));
    cases.peer(MASKED, "pth", "GNU Pth, pth_uctx_switch", (c"pth", c"swap"), 0);
    cases.add(MASKED, "posix", "rctx swapcontext, policy posix", |n| posix_swap(Peer::Posix, n));
    cases.add(MASKED, "track", "rctx swapcontext, policy track", |n| posix_swap(Peer::Track, n));
    cases.add(MASKED, "sigprocmask", "the system call alone", |n| loop_sigprocmask(n));

    let section = MASKLESS;
    cases.peer(section, "fcontext", "Boost jump_fcontext", (c"fcontext", c"swap"), 0);
    cases.add(section, "none", "rctx swapcontext, policy none", |n| posix_swap(Peer::None, n));
    cases.add(section, "twin", "rctx_swapcontext", |n| posix_swap(Peer::Twins, n));
    cases.add(section, "switch", "rctx_switch, nothing copied", |n| rctx_switch_swap(n));
    cases.add(section, "context", "crate context", context_swap);
    cases.add(section, "corosensei", "crate corosensei, inlined", corosensei_swap);
    let peer = Peer::Libucontext;
    cases.posix(section, "libucontext", "libucontext", peer, move |n| posix_swap(peer, n));
    cases.peer(section, "libaco", "libaco", (c"libaco", c"swap"), 0);
    cases.peer(section, "minicoro", "minicoro", (c"minicoro", c"swap"), 0);

    let section = "capture and resume";
    let posix_peers = [
        ("glibc", "glibc", Peer::Glibc),
        ("posix", "rctx, policy posix", Peer::Posix),
        ("none", "rctx, policy none", Peer::None),
    ];
    for (id, title, peer) in posix_peers {
        let title = |function: &str| format!("{function}, {title}");
        cases.add(section, &format!("get-{id}"), &title("getcontext"), move |n| {
            posix_getcontext(peer, n)
        });
        cases.add(section, &format!("set-{id}"), &title("setcontext"), move |n| {
            posix_setcontext(peer, n)
        });
    }

    let section = CREATE;
    for (id, title, peer) in posix_peers {
        let mut add = |kind: &str, words: &str, stacks, end| {
            cases.add(section, &format!("{kind}-{id}"), &format!("{title}, {words}"), move |n| {
                posix_create(peer, stacks, end, n)
            });
        };
        if let Peer::Glibc = peer {
            add("create-fresh", "fresh guarded stack", Stacks::Fresh, End::Swap);
        } else {
            add("create-alloc", "rctx_stack_alloc", Stacks::Rctx, End::Swap);
        }
        add("create", "kept stack", Stacks::Kept, End::Swap);
        add("finish", "kept stack, back through uc_link", Stacks::Kept, End::Finish);
    }
    cases.peer(section, "create-fcontext", "fcontext, kept stack", (c"fcontext", c"create"), 0);
    cases.add(section, "create-context", "crate context, kept stack", context_create);
    cases.add(section, "create-corosensei", "corosensei, kept stack", corosensei_create);
    cases.peer(section, "create-pth", "GNU Pth, kept stack", (c"pth", c"create"), 0);
    cases.posix(section, "create-libucontext", "libucontext, kept stack", peer, move |n| {
        posix_create(peer, Stacks::Kept, End::Swap, n)
    });
    cases.peer(section, "create-libaco", "libaco, shared stack", (c"libaco", c"create"), 0);
    cases.peer(section, "create-minicoro", "minicoro", (c"minicoro", c"create"), 0);
    cases.peer(section, "create-libtealet", "libtealet", (c"libtealet", c"create"), 0);
    cases.add(section, "finish-sliced", "rctx sliced, back through uc_link", |n| sliced_finish(n));
    cases.add(section, "create-compact", "rctx compact handle", |n| compact_create(n));

    let section = "a guarded stack alone";
    cases.add(section, "stack", "rctx_stack_alloc, rctx_stack_free", |n| loop_stack_alloc(n));

    let section = "swap on a shared stack, by bytes of locals";
    for depth in DEPTHS {
        let size = bytes(depth);
        let len = slice_length(depth);
        let mut add = |kind: &str, words: &str, run: Run| {
            cases.push(section, &format!("{kind}-{depth}"), &format!("{size}: {words}"), Ok(run));
            if depth >= STRINGS {
                cases.uncounted();
            }
        };
        add(
            "memcpys",
            &format!("two memcpys of the slice's {len} bytes"),
            Box::new(move |n| loop_memcpys(len, n)),
        );
        add("sliced", "rctx_swapcontext_sliced", Box::new(move |n| sliced_swap(0, depth, n)));
        add("compact", "rctx_slice_swap", Box::new(move |n| compact_swap(depth, n)));
        for (name, peer) in [("libtealet", c"libtealet"), ("libaco", c"libaco")] {
            let id = format!("{name}-{depth}");
            cases.peer(section, &id, &format!("{size}: {name}"), (peer, c"sliced"), depth);
            if depth >= STRINGS {
                cases.uncounted();
            }
        }
    }
    let [depth, ..] = DEPTHS;
    let title = format!("{}: swapcontext_sliced, policy posix", bytes(depth));
    cases.add(section, "sliced-masked", &title, move |n| sliced_swap(1, depth, n));

    let section = "10,000 contexts round robin, cold caches";
    cases.add(section, "cold-glibc", "glibc", |n| posix_cold(Peer::Glibc, n));
    cases.uncounted();
    cases.add(section, "cold-posix", "rctx, policy posix", |n| posix_cold(Peer::Posix, n));
    cases.uncounted();
    cases.peer(section, "cold-fcontext", "Boost jump_fcontext", (c"fcontext", c"cold"), 0);
    cases.uncounted();
    cases.add(section, "cold-none", "rctx, policy none", |n| posix_cold(Peer::None, n));
    cases.uncounted();
    cases.add(section, "cold-compact", "rctx_slice_swap", |n| compact_cold(n));
    cases.uncounted();

    cases.at_once(second_cpu, "glibc", "glibc swapcontext", |n| posix_swap(Peer::Glibc, n));
    cases.at_once(second_cpu, "posix", "rctx swapcontext, policy posix", |n| {
        posix_swap(Peer::Posix, n)
    });
    cases.at_once(second_cpu, "twin", "rctx_swapcontext", |n| posix_swap(Peer::Twins, n));
    cases.at_once(second_cpu, "sliced", "rctx_swapcontext_sliced, 64 B", |n| sliced_swap(0, 64, n));
    cases.at_once(second_cpu, "compact", "rctx_slice_swap, 64 B", |n| compact_swap(64, n));
    cases
        .at_once(second_cpu, "stack", "rctx_stack_alloc, rctx_stack_free", |n| loop_stack_alloc(n));
    if let Some(jump) = find(c"fcontext", c"swap") {
        cases.at_once(second_cpu, "fcontext", "Boost jump_fcontext", move |n| jump(0, n));
    }
    cases.0
}

/// What is wanted of which row.
pub fn goals() -> Vec<Goal> {
    let at_most = |case: &str, factor, reference: &str| Goal {
        case: case.to_owned(),
        wanted: Wanted::AtMostTimes(factor, reference.to_owned()),
    };
    let limit = |case: &str, limit| Goal { case: case.to_owned(), wanted: Wanted::AtMost(limit) };
    let mut goals = vec![
        Goal { case: "posix".to_owned(), wanted: Wanted::TimesAsFast(1.4, "glibc".to_owned()) },
        at_most("posix", 1.08, "sigprocmask"),
        at_most("track", 1.5, "none"),
        Goal { case: "track".to_owned(), wanted: Wanted::TimesAsFast(15.0, "glibc".to_owned()) },
        at_most("none", 1.0, "fcontext"),
        at_most("create-alloc-posix", 0.1, "create-fresh-glibc"),
        at_most("create-alloc-none", 0.1, "create-fresh-glibc"),
    ];
    for kind in ["sliced", "compact"] {
        goals.push(limit(&format!("{kind}-64"), 15.0));
        goals.push(at_most(&format!("{kind}-64"), 4.0, "fcontext"));
        for (depth, factor) in [(1 << 10, 1.5), (16 << 10, 1.3), (256 << 10, 1.15)] {
            goals.push(at_most(&format!("{kind}-{depth}"), factor, &format!("memcpys-{depth}")));
        }
    }
    goals.push(limit(&resident_id(MILLION), 200.0));
    goals
}

/// The row of a ring's memory.
pub fn resident_id(count: usize) -> String {
    format!("resident-{count}")
}

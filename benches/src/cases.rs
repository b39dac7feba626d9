//! What is measured, and what is wanted of it.

use std::fmt;

use crate::loops::*;

/// One row of the table.
pub struct Case {
    /// Its name in the report.
    pub id: String,
    /// The heading that it stands under.
    pub section: &'static str,
    /// What the table calls it.
    pub title: String,
    /// Runs it so many times; none for a peer that is not installed.
    pub run: Option<Box<dyn Fn(usize) -> f64>>,
}

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
            Wanted::AtMostTimes(factor, reference) => write!(f, "at most {factor} x {reference}"),
            Wanted::TimesAsFast(factor, reference) => {
                write!(f, "{factor} x as fast as {reference}")
            }
            Wanted::AtMost(limit) => write!(f, "at most {limit}"),
        }
    }
}

/// Bytes of locals of the functions that are sliced.
pub const DEPTHS: [usize; 5] = [64, 1 << 10, 16 << 10, 256 << 10, 1 << 20];

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

/// The rows but the rings, in the order of the table.
pub fn cases(has_fcontext: bool) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |section, id: &str, title: &str, run: Box<dyn Fn(usize) -> f64>| {
        let absent = id.contains("fcontext") && !has_fcontext;
        let (id, title) = (id.to_owned(), title.to_owned());
        cases.push(Case { id, section, title, run: (!absent).then_some(run) });
    };

    let section = "swap, signal mask kept";
    add(section, "glibc", "glibc swapcontext", Box::new(|n| loop_swap(Peer::Glibc, n)));
    add(section, "posix", "swapcontext, policy posix", Box::new(|n| loop_swap(Peer::Posix, n)));
    add(section, "sigprocmask", "the system call alone", Box::new(|n| loop_sigprocmask(n)));

    let section = "swap, no signal mask";
    add(section, "fcontext", "Boost jump_fcontext", Box::new(|n| loop_fcontext(n)));
    add(section, "none", "swapcontext, policy none", Box::new(|n| loop_swap(Peer::None, n)));
    add(section, "twin", "rctx_swapcontext", Box::new(|n| loop_swap(Peer::Twins, n)));
    add(section, "switch", "rctx_switch, nothing copied", Box::new(|n| loop_switch(n)));
    add(section, "corosensei", "crate corosensei", Box::new(loop_corosensei));
    add(section, "context", "crate context", Box::new(loop_context));

    let section = "capture and resume";
    for (name, peer) in [("glibc", Peer::Glibc), ("posix", Peer::Posix), ("none", Peer::None)] {
        let title = format!("getcontext, {name}");
        add(section, &format!("get-{name}"), &title, Box::new(move |n| loop_getcontext(peer, n)));
        let title = format!("setcontext, {name}");
        add(section, &format!("set-{name}"), &title, Box::new(move |n| loop_setcontext(peer, n)));
    }

    let section = "create, resume, come back";
    for (name, peer) in [("glibc", Peer::Glibc), ("posix", Peer::Posix), ("none", Peer::None)] {
        for (stack, stacks) in [("fresh", Stacks::Fresh), ("pooled", Stacks::Pooled)] {
            add(
                section,
                &format!("create-{name}-{stack}"),
                &format!("{name}, {stack} guarded stack"),
                Box::new(move |n| loop_create(peer, stacks, End::Swap, n)),
            );
        }
        add(
            section,
            &format!("finish-{name}"),
            &format!("{name}, pooled stack, back through uc_link"),
            Box::new(move |n| loop_create(peer, Stacks::Pooled, End::Finish, n)),
        );
    }
    add(
        section,
        "create-fcontext",
        "fcontext, pooled stack",
        Box::new(|n| loop_create_fcontext(n)),
    );
    add(
        section,
        "finish-sliced",
        "sliced, back through uc_link",
        Box::new(|n| loop_create_sliced(n)),
    );
    add(section, "create-compact", "compact handle", Box::new(|n| loop_create_compact(n)));

    let section = "swap on a shared stack, by bytes of locals";
    for depth in DEPTHS {
        let size = bytes(depth);
        let len = slice_length(depth);
        add(
            section,
            &format!("memcpys-{depth}"),
            &format!("{size}: two memcpys of the slice's {len} bytes"),
            Box::new(move |n| loop_memcpys(len, n)),
        );
        add(
            section,
            &format!("sliced-{depth}"),
            &format!("{size}: rctx_swapcontext_sliced"),
            Box::new(move |n| loop_sliced(0, depth, n)),
        );
        add(
            section,
            &format!("compact-{depth}"),
            &format!("{size}: rctx_slice_swap"),
            Box::new(move |n| loop_compact(depth, n)),
        );
    }
    let [depth, ..] = DEPTHS;
    add(
        section,
        "sliced-masked",
        &format!("{}: swapcontext_sliced, policy posix", bytes(depth)),
        Box::new(move |n| loop_sliced(1, depth, n)),
    );
    cases
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
        at_most("none", 1.1, "fcontext"),
        at_most("none", 1.0, "fcontext"),
        at_most("create-none-pooled", 0.1, "create-glibc-fresh"),
    ];
    for kind in ["sliced", "compact"] {
        goals.push(at_most(&format!("{kind}-64"), 4.0, "fcontext"));
        goals.push(limit(&format!("{kind}-64"), 15.0));
        for (depth, factor) in [(1 << 10, 2.0), (1 << 10, 1.5), (16 << 10, 1.3), (256 << 10, 1.15)]
        {
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

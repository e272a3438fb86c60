#!/bin/sh
# A provider in shell: it registers the layer tagged Source to the one tagged Target, and carries
# the labels of the layer tagged SourceSeg over.
#
#     registration.sh HASH PROVIDER INSTANCE [WORKDIR] [--once | NUMBER]
#
# HASH is the service's, or several with commas between them; `itksnap-wt -P -dssp-services-list`
# shows it. WORKDIR (dss-work) gets a folder for each ticket, gone when the ticket is over. The
# script goes on until it is stopped; with --once until no ticket waits, with NUMBER for so many
# tickets. Log in first: itksnap-wt -dss-auth URL. It needs `itksnap-wt` and `greedy` on the PATH.
#
# A ticket ends as a success, or as failed with a reason, also when a signal stops the script. The
# exit code is 0; 1 if tickets cannot be claimed; 2 for a wrong command line; 128 + the signal.

set -eu
umask 077 # images of patients: for nobody else on this machine

name=${0##*/}
patience=30 # seconds that one claim waits for a ticket, and a signal for that claim
newline='
'

stopping= # the number of the signal that stops the script
ticket=   # the ticket that is worked on
reason=   # why it fails, for its user

usage() {
    echo "usage: $name HASH PROVIDER INSTANCE [WORKDIR] [--once | NUMBER]" >&2
    exit 2
}

say() {
    printf '%s: %s\n' "$name" "$1" >&2
}

# try REASON COMMAND...: runs a command, which a signal ends at once; $reason is why it failed.
# The shell hears signals while it waits for a command in the background, not for one in front.
try() {
    reason=$1
    shift
    [ -z "$stopping" ] || return 1
    "$@" &
    child=$!
    if [ -n "$stopping" ]; then
        code=1
    elif wait "$child"; then
        code=0
    else
        code=$?
    fi
    # A signal ends the wait, not the command; and one that has just begun may not hear it at once.
    while [ -n "$stopping" ] && kill "$child" 2>/dev/null; do
        sleep 1
    done
    return "$code"
}

# Runs a command to its end, whatever signals come: what the server is told must not be cut off.
to_its_end() (
    trap '' HUP INT TERM
    "$@"
)

# find_layer TAG: sets $file to the file of the one layer that has this tag, beside the workspace.
find_layer() {
    try "The workspace cannot be read" itksnap-wt -P -i "$workspace" -llf "$1" >layers.txt || return
    file=$(cat layers.txt)
    case $file in
        "") reason="No layer has the tag $1" ;;
        *"$newline"*) reason="More than one layer has the tag $1" ;;
        *)
            file=${file##*/}
            return
            ;;
    esac
    return 1
}

# run_greedy STEP FILE OPTION...: FILE is what greedy has to make; its exit code is no proof.
run_greedy() {
    step=$1
    made=$2
    shift 2
    if try "" greedy "$@" >greedy.txt 2>&1 && [ -s "$made" ]; then
        return
    fi
    attach "Output of greedy" greedy.txt || :
    reason="$step failed"
    return 1
}

# attach DESCRIPTION FILE: attaches a text, which shows with the next line of the log.
attach() {
    try "The server takes no attachments" \
        itksnap-wt -dssp-tickets-attach "$ticket" "$1" "$2" text/plain
}

# report MESSAGE PROGRESS: tells the user what is done, and how much of all that is, 0 to 1.
report() {
    try "The server takes no reports" itksnap-wt -dssp-tickets-log "$ticket" info "$1" \
        -dssp-tickets-set-progress "$ticket" 0 1 "$2" >/dev/null
}

# Does the work of $ticket in the current folder, which is empty. As its result is asked for,
# `set -e` does not hold in here: each step has its own way out.
work() {
    try "The workspace cannot be downloaded" \
        itksnap-wt -dssp-tickets-download "$ticket" . >files.txt || return
    workspace=$(sed -n 's/^1> \(.*\.itksnap\)$/\1/p' files.txt)
    find_layer Target || return
    target=$file
    find_layer Source || return
    source=$file
    find_layer SourceSeg || return
    source_seg=$file
    report "Ticket downloaded" 0.1 || return

    # The user may have moved the source in ITK-SNAP: that is where the registration starts.
    try "The transform of the layer Source cannot be read" itksnap-wt -i "$workspace" \
        -layers-pick-by-tag Source -props-get-transform >transform.txt || return
    sed -n 's/^3> //p' transform.txt >initial.mat
    run_greedy "Affine registration" affine.mat -d 3 -a -m NCC 4x4x4 -n 40x40x20 \
        -i "$target" "$source" -ia initial.mat -o affine.mat || return
    attach "Affine matrix" affine.mat || return
    report "Affine registration done" 0.4 || return

    run_greedy "Deformable registration" warp.nii.gz -d 3 -m NCC 4x4x4 -n 40x40x20 \
        -i "$target" "$source" -it affine.mat -o warp.nii.gz || return
    report "Deformable registration done" 0.8 || return

    run_greedy "Reslicing" resliced_seg.nii.gz -d 3 -rf "$target" \
        -rm "$source" resliced.nii.gz \
        -ri NN -rm "$source_seg" resliced_seg.nii.gz \
        -rc combined_warp.nii.gz -r warp.nii.gz affine.mat || return
    try "The result cannot be put together" itksnap-wt -i "$workspace" \
        -layers-add-anat resliced.nii.gz -props-set-nickname "Resliced source" \
        -layers-add-anat combined_warp.nii.gz -props-set-nickname "Deformation field" \
        -props-set-colormap Jet \
        -layers-add-seg resliced_seg.nii.gz -props-set-nickname "Resliced segmentation" \
        -o result.itksnap >/dev/null || return
    report "Reslicing done" 0.9 || return

    try "The result cannot be uploaded" \
        itksnap-wt -i result.itksnap -dssp-tickets-upload "$ticket" || return
    reason="The success cannot be reported"
    to_its_end itksnap-wt -dssp-tickets-set-progress "$ticket" 0 1 1 \
        -dssp-tickets-success "$ticket" >/dev/null
}

# Works on $ticket in a folder of its own, and reports it as failed if that fails.
serve() {
    folder=$workdir/ticket_$ticket
    reason="The provider has no room for the ticket"
    if rm -rf "$folder" && mkdir "$folder" && cd "$folder" && work; then
        say "ticket $ticket: success"
    else
        [ -z "$stopping" ] || reason="The provider was stopped (signal $stopping)"
        say "ticket $ticket: failed: $reason"
        to_its_end itksnap-wt -dssp-tickets-fail "$ticket" "$reason" >/dev/null ||
            say "ticket $ticket: the failure cannot be reported; has its user deleted it?"
    fi
    cd "$workdir"
    rm -rf "$folder"
}

[ $# -ge 3 ] || usage
hash=$1
provider=$2
instance=$3
shift 3
workdir=dss-work
number=-1 # of tickets to take: no end
once=
for word; do
    case $word in
        --once) once=yes patience=0 ;;
        -* | "") usage ;;
        *[!0-9]*) workdir=$word ;;
        *) number=$word ;;
    esac
done
case $workdir in
    /*) ;;
    *) workdir=$PWD/$workdir ;;
esac
mkdir -p "$workdir"

trap 'stopping=1' HUP
trap 'stopping=2' INT
trap 'stopping=15' TERM

taken=0
asked= # whether the server has answered a claim
while [ -z "$stopping" ] && [ "$taken" -ne "$number" ]; do
    # A claim that is cut off may have taken a ticket that nobody would then work on.
    code=0
    claim=$(
        trap '' HUP INT TERM
        itksnap-wt -dssp-services-claim "$hash" "$provider" "$instance" "$patience"
    ) || code=$?
    if [ "$code" -eq 0 ]; then
        asked=yes
        ticket=$(printf '%s\n' "$claim" | sed -n 's/^1> *\([0-9][0-9]*\) .*/\1/p')
        if [ -z "$ticket" ]; then
            say "this is no claim: $claim"
            exit 1
        fi
        taken=$((taken + 1))
        serve
    elif [ "$code" -eq 1 ]; then # no ticket waits
        asked=yes
        [ -z "$once" ] || break
    elif [ -n "$asked" ] && [ -z "$once" ]; then
        say "no claim; next try in $patience s"
        try "" sleep "$patience" || :
    else
        exit 1
    fi
done
[ -z "$stopping" ] || exit $((128 + stopping))

/* SPDX-License-Identifier: MIT */
/*
 * context_x86_64.S - the outermost frame of every context.
 *
 * Layer   plat.
 *
 * gv_context_make() points a fresh context here with rsp at its struct gv_context, 16-byte
 * aligned, rbp zero and arg in rdi.  Unwinders that read the table stop because the return
 * address is undefined; those that follow frame pointers stop at the zero.
 */
#if defined(__x86_64__) && defined(__LP64__) && !defined(GV_CONTEXT_UCONTEXT)

	.text
	.p2align 4
	.globl	gv_context_trampoline
	.hidden	gv_context_trampoline
	.type	gv_context_trampoline, @function
gv_context_trampoline:
	.cfi_startproc
	.cfi_undefined rip
	.cfi_undefined rbp
	.cfi_def_cfa rsp, 0
	endbr64
	leaq	1f(%rip), %rax	/* a jump: a call would leave the return predictor one ahead */
	pushq	%rax
	.cfi_adjust_cfa_offset 8
	jmpq	*32(%rsp)	/* entry */
1:
	ud2			/* entry returned */
	.cfi_endproc
	.size	gv_context_trampoline, . - gv_context_trampoline

/* Landing pads yes, shadow stack no: an object without this note turns both off. */
	.section .note.gnu.property, "a", @note
	.p2align 3
	.long	4		/* length of the name */
	.long	16		/* length of the properties */
	.long	5		/* NT_GNU_PROPERTY_TYPE_0 */
	.asciz	"GNU"
	.long	0xc0000002	/* GNU_PROPERTY_X86_FEATURE_1_AND */
	.long	4
	.long	1		/* IBT */
	.long	0

#endif

	.section .note.GNU-stack, "", @progbits

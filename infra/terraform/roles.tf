# One role for each kind of process, with what its code asks for and no more. No worker may change or delete a photo;
# only gc deletes outputs. (`gc --purge SKU --with-photos` is for a person with rights of their own.)
#
# .probe/ holds the object that every process which commits writes and deletes once, to prove conditional writes.

locals {
  photos = var.photos
  roles = {
    cpu = {
      list   = [local.photos, "work/", "catalog/", "review/", "state/", "nights/"]
      read   = [local.photos, "scribbles/", "work/", "catalog/", "review/", "state/", "nights/"]
      write  = ["work/", "catalog/", "review/", "state/", "nights/", ".probe/"]
      delete = [".probe/"]
    }
    gpu = {
      list   = [local.photos, "work/", "catalog/", "review/", "state/", "nights/", "class-images/"]
      read   = [local.photos, "scribbles/", "work/", "catalog/", "review/", "state/", "nights/", "class-images/"]
      write  = ["work/", "catalog/", "state/", "nights/", "class-images/", ".probe/"]
      delete = [".probe/"]
    }
    listen = {
      list   = [local.photos, "state/waiting/"]
      read   = ["state/started/"]
      write  = ["state/waiting/", "state/started/"]
      delete = ["state/waiting/"]
    }
    gc = {
      list   = [local.photos, "work/", "catalog/", "review/", "state/", "nights/"]
      read   = [local.photos, "scribbles/", "work/", "catalog/", "review/", "state/", "nights/"]
      write  = ["state/"]
      delete = ["work/", "catalog/", "review/", "state/", "nights/"]
    }
    review = {
      list   = ["review/", "nights/"]
      read   = ["review/", "nights/", "catalog/"]
      write  = ["review/", ".probe/"]
      delete = [".probe/"]
    }
  }
}

data "aws_iam_policy_document" "trust" {
  for_each = local.roles

  statement {
    actions = ["sts:AssumeRoleWithWebIdentity"]

    principals {
      type        = "Federated"
      identifiers = [var.oidc_provider_arn]
    }

    condition {
      test     = "StringEquals"
      variable = "${var.oidc_issuer}:sub"
      values   = ["system:serviceaccount:${var.namespace}:productshot-${each.key}"]
    }

    condition {
      test     = "StringEquals"
      variable = "${var.oidc_issuer}:aud"
      values   = ["sts.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "store" {
  for_each = local.roles

  # IfExists: HeadBucket, and the 404 of an absent object, ask for this right without a prefix. So does a listing of the
  # whole bucket, which no process makes: keys can be listed, but not read.
  statement {
    sid       = "List"
    actions   = ["s3:ListBucket"]
    resources = [aws_s3_bucket.store.arn]

    condition {
      test     = "StringLikeIfExists"
      variable = "s3:prefix"
      values   = [for folder in each.value.list : "${var.prefix}${folder}*"]
    }
  }

  statement {
    sid       = "Read"
    actions   = ["s3:GetObject"]
    resources = [for folder in each.value.read : "${aws_s3_bucket.store.arn}/${var.prefix}${folder}*"]
  }

  statement {
    sid       = "Write"
    actions   = ["s3:PutObject", "s3:AbortMultipartUpload"]
    resources = [for folder in each.value.write : "${aws_s3_bucket.store.arn}/${var.prefix}${folder}*"]
  }

  statement {
    sid       = "Delete"
    actions   = ["s3:DeleteObject"]
    resources = [for folder in each.value.delete : "${aws_s3_bucket.store.arn}/${var.prefix}${folder}*"]
  }
}

resource "aws_iam_role" "process" {
  for_each           = local.roles
  name               = "${var.bucket}-${each.key}"
  assume_role_policy = data.aws_iam_policy_document.trust[each.key].json
}

resource "aws_iam_role_policy" "store" {
  for_each = local.roles
  name     = "store"
  role     = aws_iam_role.process[each.key].id
  policy   = data.aws_iam_policy_document.store[each.key].json
}

data "aws_iam_policy_document" "listen" {
  statement {
    sid       = "ReadQueue"
    actions   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
    resources = [aws_sqs_queue.photos.arn]
  }
}

resource "aws_iam_role_policy" "listen" {
  name   = "queue"
  role   = aws_iam_role.process["listen"].id
  policy = data.aws_iam_policy_document.listen.json
}
